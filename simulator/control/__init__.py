"""The control API, by which tests act on the simulated world and read its state."""
