"""The providers' mailboxes: one module per provider for HTTP, one for the pure mapping of its answers."""
