"""TokenVault: connected tenants, the credentials that only it can open, API keys, and the audit log of their use."""
