"""Primitives: calls that open what strangers wrote, each in a process without rights.

The service has no token, no database and no way out. A file that breaks its reader costs one call.
"""
