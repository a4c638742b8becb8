"""How services take part in the erasures of TokenVault: what they ask it, and what they confirm."""
