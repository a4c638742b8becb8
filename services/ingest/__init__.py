"""Ingest: subscriptions at the providers, and the inbox: what they told us, on disk before they get their 2xx."""
