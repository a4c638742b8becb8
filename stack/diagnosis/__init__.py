"""Checks of an installation: each returns its findings with their remedies."""
