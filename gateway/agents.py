"""The edge's route to the door of agents, `/mcp`, which exists where the setting names the door's processes.

The route takes POST only, as the current protocol has it. A page of a foreign origin is refused. TokenVault checks the
key as for every RPC.
"""

import re
from typing import Any

JSON = dict[str, Any]
PATH = "/mcp"
CLUSTER = "agents"
IDENTITY = "agents"
MOST_BODY_BYTES = 1024 * 1024
# Longer than any call behind a tool.
TIMEOUT_SECONDS = 130
# The door takes several times as many connections: it must always have one for the health check.
MOST_CONNECTIONS = 64
_BOUNDS = ("max_connections", "max_pending_requests", "max_requests")
_TYPE = "type.googleapis.com/envoy."


def routes(allowed_origins: tuple[str, ...], without_authorization: JSON) -> list[JSON]:
    """Return the routes, the refusals first.

    Args:
        allowed_origins: The origins of pages that may call the edge.
        without_authorization: The configuration that switches the check of the key off, for refusals.
    """
    limited = {
        "rate_api": {"@type": f"{_TYPE}config.route.v3.FilterConfig", "config": {}},
        "envoy.filters.http.buffer": {
            "@type": f"{_TYPE}extensions.filters.http.buffer.v3.BufferPerRoute",
            "buffer": {"max_request_bytes": MOST_BODY_BYTES},
        },
    }
    refused = limited | {"envoy.filters.http.ext_authz": without_authorization}
    known = "|".join(re.escape(origin) for origin in allowed_origins) or "$^"
    foreign = {"name": "origin", "string_match": {"safe_regex": {"regex": known}}, "invert_match": True}
    method = {"name": ":method", "string_match": {"exact": "POST"}, "invert_match": True}
    allow = {"header": {"key": "allow", "value": "POST"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    return [
        {
            "match": {"path": PATH, "headers": [{"name": "origin", "present_match": True}, foreign]},
            "direct_response": {"status": 403},
            "typed_per_filter_config": refused,
        },
        {
            "match": {"path": PATH, "headers": [method]},
            "direct_response": {"status": 405},
            "response_headers_to_add": [allow],
            "typed_per_filter_config": refused,
        },
        {
            "match": {"path": PATH},
            # The door calls the edge with the key. The secret of a session has no use there.
            "request_headers_to_remove": ["cookie"],
            "route": {"cluster": CLUSTER, "timeout": f"{TIMEOUT_SECONDS}s"},
            "typed_per_filter_config": limited,
        },
    ]


def cluster(addresses: list[JSON], certificate: JSON, authority: JSON) -> JSON:
    """Return the door's cluster: HTTP/1.1 over mutual TLS.

    Args:
        addresses: The processes, each with `host` and `port`.
        certificate: The secret with the edge's mesh certificate.
        authority: The secret with the mesh's authority.
    """
    name = {"san_type": "URI", "matcher": {"exact": f"spiffe://mailmesh/{IDENTITY}"}}
    tls = {
        "@type": f"{_TYPE}extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": f"{IDENTITY}.mailmesh.internal",
        "common_tls_context": {
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificate_sds_secret_configs": [certificate],
            "combined_validation_context": {
                "default_validation_context": {"match_typed_subject_alt_names": [name]},
                "validation_context_sds_secret_config": authority,
            },
        },
    }
    endpoints = [
        {"endpoint": {"address": {"socket_address": {"address": place["host"], "port_value": place["port"]}}}}
        for place in addresses
    ]
    health = {
        "timeout": "1s",
        "interval": "2s",
        "no_traffic_interval": "2s",
        "unhealthy_interval": "0.5s",
        "unhealthy_threshold": 3,
        "healthy_threshold": 1,
        "http_health_check": {"path": "/health"},
    }
    return {
        "name": CLUSTER,
        "type": "STRICT_DNS",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": CLUSTER, "endpoints": [{"lb_endpoints": endpoints}]},
        "circuit_breakers": {"thresholds": [dict.fromkeys(_BOUNDS, MOST_CONNECTIONS)]},
        "health_checks": [health],
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls},
    }
