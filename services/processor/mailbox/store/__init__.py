"""The statements over mailboxes, workers and the changes of tenants."""
