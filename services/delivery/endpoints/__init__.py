"""Endpoints: what callers ask for, checked and stored."""
