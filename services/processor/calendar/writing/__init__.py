"""Writing to calendars: one idempotency key is at most one change, as far as providers allow; else a person decides."""
