"""One mailbox under one lease: claiming work, the fence, tokens, HTTP to the provider, failures."""
