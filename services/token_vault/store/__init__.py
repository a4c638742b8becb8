"""TokenVault's tables in PostgreSQL: one module per noun, SQL and the rows as frozen dataclasses."""
