"""The statements over modifications and over our own changes."""
