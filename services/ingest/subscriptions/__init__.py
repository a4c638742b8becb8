"""Subscriptions: created, renewed, recreated and deleted at the providers, so that changes keep being pushed."""
