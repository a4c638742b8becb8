"""The providers as issuers of tokens: one module each, behind one protocol."""
