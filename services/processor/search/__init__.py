"""Search: the words of stored mail, for tenants that enable it.

The index has no words, only keyed digests of them. A mail is found by the index, and judged by its event.
"""
