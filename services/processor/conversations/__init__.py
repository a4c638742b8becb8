"""Conversations: mail as a support team sees it.

A message joins one by kinship and the right to join, never by one of them alone.
"""
