"""What TokenVault keeps in PostgreSQL: one module per noun. Rows do not leave this package."""
