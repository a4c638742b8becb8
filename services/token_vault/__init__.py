"""TokenVault: who is connected, the credentials that only it can open, API keys, and who did what with them."""
