"""Notifications with resource data: the proof of their publisher, and their decryption."""
