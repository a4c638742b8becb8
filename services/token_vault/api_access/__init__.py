"""Access at the edge: API keys, and the decision whether a request may pass."""
