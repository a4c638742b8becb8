"""The control API: what a test may make happen, and what it may ask."""
