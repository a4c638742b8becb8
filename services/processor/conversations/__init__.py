"""Conversations: what mail means to a support team. A message joins by kinship and the right to join, never by one of them alone."""
