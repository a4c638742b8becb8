"""Backups of an installation on one machine, and the way back from them."""
