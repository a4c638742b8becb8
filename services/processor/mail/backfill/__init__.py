"""Backfills: events of mail from before the subscriptions."""
