"""The statements over messages, lookups, folders and threads."""
