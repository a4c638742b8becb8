"""The statements over the log of events."""
