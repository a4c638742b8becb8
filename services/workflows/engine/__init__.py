"""Graphs, their checkpoints, and the attempts to run them."""
