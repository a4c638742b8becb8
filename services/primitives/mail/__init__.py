"""Raw mails to the contract's mail."""
