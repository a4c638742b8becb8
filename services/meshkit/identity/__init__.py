"""Identities in the mesh: certificates on one side of a connection, the caller's name on the other."""
