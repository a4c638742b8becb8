"""Conversations: what mail means to a desk. A message joins by kinship and standing, never by one of them alone."""
