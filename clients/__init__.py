"""Clients that others install, and the suite that holds them to one behaviour."""
