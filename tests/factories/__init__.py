"""Makers of values for tests, with defaults for everything that a test does not care about."""
