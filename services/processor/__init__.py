"""Processor: turns "something changed in this mailbox" into one typed event, in order per message, and serves it."""
