"""Webhooks: what the providers push is parsed by provider, matched to subscriptions, and committed to the inbox."""
