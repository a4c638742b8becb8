"""Checks of an installation: each says what it found and what to do about it."""
