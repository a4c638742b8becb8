"""Subscriptions: what the providers push to us, made, renewed, made anew, and ended."""
