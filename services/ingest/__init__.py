"""Ingest: webhooks, subscriptions and the inbox. Notifications are on disk before the providers get their 2xx."""
