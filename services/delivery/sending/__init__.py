"""Sending: from the event stream to the receivers, in order per message."""
