"""Processor: from "something changed in this mailbox" to one typed event, in order per message, and its serving."""
