"""Acting on mail that is in a mailbox: marks, categories, labels, folders; one outcome for each mail."""
