"""What the providers push: bytes in, values out. No database and no network here."""
