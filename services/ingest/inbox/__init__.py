"""The inbox: items are committed here, and retention removes what is done."""
