"""Where mail comes from: one module per provider for HTTP, one for the pure mapping of what it answers."""
