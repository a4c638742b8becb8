"""The tables of conversations."""
