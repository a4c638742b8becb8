"""What a mail is: sources, mapping, decisions, threads, and the commit of its events."""
