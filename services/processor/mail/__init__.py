"""The wing of mail: sources, mapping, decisions, threads, and the commit of its events."""
