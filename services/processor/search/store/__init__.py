"""The tables of search."""
