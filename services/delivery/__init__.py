"""Delivery: sends events to consumers' endpoints as signed webhooks."""
