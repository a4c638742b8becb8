"""The bounds of headers, from the outside to the services. The edge and all gRPC servers and channels read them here.

Some headers grow with an installation. A filter of 1,000 tenants is 55 KB of a URL, and the scope of a key of 1,000
tenants is 37 KB of metadata. gRPC's own bound is 8 KiB, and between 8 and 16 KiB it refuses at random. The services
therefore take whatever the edge can let through, and a header that is too large is refused at the edge alone, with a
reason.
"""

KEY_TENANTS = 1000
"""The largest number of tenants in the scope of a key, and in a filter."""

EDGE_KIB = 96
"""The largest size of the headers of a request from outside. The longest filter of events fits in."""
EDGE_HEADERS = 100
"""The largest number of headers of a request from outside."""

_ID_CHARACTERS = 36 + 1
_ENTRY_BYTES = 32  # RFC 9113, section 10.5.1: the size of a list of headers counts so much for each of them
_OWN_HEADERS_BYTES = 8 * 1024  # ids, addresses and the trace that the edge adds

METADATA_BYTES = EDGE_KIB * 1024 + KEY_TENANTS * _ID_CHARACTERS + EDGE_HEADERS * _ENTRY_BYTES + _OWN_HEADERS_BYTES
"""The largest size of a call's metadata in the mesh: a request from outside, the scope of its key, the edge's own."""

METADATA_OPTIONS = (("grpc.max_metadata_size", METADATA_BYTES), ("grpc.absolute_max_metadata_size", METADATA_BYTES))
"""Options for gRPC servers and channels. From the first bound on gRPC refuses at random, from the second on always."""
