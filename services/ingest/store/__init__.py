"""Everything that Ingest says to PostgreSQL. Rows never leave this package."""
