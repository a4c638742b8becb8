"""Sending mail: one idempotency key is at most one mail, as far as the providers allow; else a person decides."""
