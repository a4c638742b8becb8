"""Google accounts, Gmail, and the pushing side of Pub/Sub."""
