"""The guarded way out: HTTP to addresses outside of the mesh, which must not lead into the operator's network.

Each rule is checked where it takes effect: the URL when it is stored and before each request, every answer of the name
server, the address of each dial before its first packet, and the connection's real peer before the first byte.
"""
