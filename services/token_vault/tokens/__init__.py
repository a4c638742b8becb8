"""OAuth tokens: issue, refresh, seal and open them, and mark tenants whose credentials no longer work."""
