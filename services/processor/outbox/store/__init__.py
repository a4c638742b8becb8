"""The statements over sends."""
