"""What the service does with a mail."""
