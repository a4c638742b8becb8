"""Programs of the workshop: generation and checks. Nothing here runs in production."""
