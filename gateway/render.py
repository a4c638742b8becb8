"""Fills in the edge's configuration: settings and contract in, Envoy's YAML out, with its secrets beside it.

Envoy follows a renewed certificate only if a separate file names its path; it reads the paths in the configuration
itself once. Those files hold paths and no keys.
"""

import ipaddress
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jinja2

from gateway import agents
from gateway.console import CONTENT_TYPES, HEADERS, PREFIX, Console, console, read_console
from gateway.contract import ContractService, descriptor_path, edge_services, keyed_prefixes
from gateway.gate import program
from gateway.names import ADMIN_SOCKET
from gateway.replies import (
    LOCAL_REPLIES,
    PROTOCOL_HEADER,
    PUSH_REFUSED,
)
from gateway.settings import DEFAULT_CERTS_URL, EdgeSettings
from mailmesh.access.v1 import access_pb2
from services.meshkit import header_bounds
from services.meshkit.identity.caller import SOURCE_HEADER

JSON = dict[str, Any]
TEMPLATE_PATH = Path(__file__).with_name("envoy.yaml")
CLUSTERS = {
    "vault": "token_vault",
    "ingest": "ingest",
    "processor": "processor",
    "conversation": "processor",
    "delivery": "delivery",
    "workflow": "workflows",
    "primitives": "primitives",
}
WEBHOOKS = "mailmesh.ingest.v1.IngestService"
# Its requests contain whole mails and documents.
CONTENT = "mailmesh.primitives.v1.PrimitiveService"
# Graph gives up after 3 seconds; Ingest itself refuses a commit that takes more than 2.
WEBHOOK_TIMEOUT_SECONDS = 3
# A batch of a thousand subscriptions is a thousand calls to a provider.
# A test of an endpoint waits for the receiver, which may take 30 seconds.
TIMEOUT_SECONDS = {
    "mailmesh.ingest.v1.SubscriptionService": 300,
    "mailmesh.processor.v1.ProcessorService": 120,
    "mailmesh.processor.v1.ContentService": 120,
    "mailmesh.processor.v1.ModelService": 120,
    "mailmesh.delivery.v1.EndpointService": 60,
    "mailmesh.primitives.v1.PrimitiveService": 60,
}
USUAL_TIMEOUT_SECONDS = 30
# All others get no cookies: the secrets of sessions and flows end at the edge.
READING_COOKIES = frozenset(f"mailmesh.vault.v1.{name}Service" for name in ("Authorization", "Session", "SignIn"))
# Every answer has them. Pages of an authorization bring a policy of their own, which allows their style.
SECURITY_HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
# A year. Names below the host may be another's, so they are not included.
TLS_ONLY = {"strict-transport-security": "max-age=31536000"}
# The media types of gRPC and gRPC-Web, as a regular expression.
GRPC_TYPES = "application/grpc(-web(-text)?)?([+;].*)?"
# The services of gRPC itself that are served to everybody, with the largest body in bytes; 0 for a conversation.
PUBLIC_SERVICES = {
    "grpc.reflection.v1.ServerReflection": 0,
    "grpc.reflection.v1alpha.ServerReflection": 0,
    "grpc.health.v1.Health": 65536,
}
_SECRET = {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"}


@dataclass(frozen=True)
class EdgeService:
    """A service as the template sees it."""

    name: str
    cluster: str
    methods: tuple[str, ...]
    streams: tuple[str, ...]
    is_open: bool
    is_webhook: bool
    takes_content: bool
    timeout_seconds: int
    removed_headers: tuple[str, ...]


@dataclass(frozen=True)
class _Headers:
    """The bounds of a request's headers."""

    kib: int = header_bounds.EDGE_KIB
    count: int = header_bounds.EDGE_HEADERS


@dataclass(frozen=True)
class RateBucket:
    """A bucket that an address has at the edge, for all routes of one kind."""

    name: str
    stat_prefix: str
    status: int
    per_second: int
    burst: int


@dataclass(frozen=True)
class Address:
    """A host and a port."""

    host: str
    port: int


def render(settings: EdgeSettings, folder: Path, *, is_bundle: bool = False) -> Path:
    """Renders the configuration into a folder. Safe to call again.

    Args:
        settings: The settings of this installation.
        folder: An existing folder for `envoy.yaml` and the files that it names; it stays while Envoy runs.
        is_bundle: Whether the contract and the console are copied into the folder, for an Envoy in another image.

    Returns:
        The file for `envoy --config-path`.

    Raises:
        OSError: The folder cannot be written.
    """
    paths: dict[str, str] = {}
    for name, secret in _secrets(settings).items():
        place = folder.resolve() / f"{name}.json"
        place.write_text(json.dumps({"resources": [_SECRET | {"name": name} | secret]}, indent=2))
        paths[name] = str(place)
    descriptor, files = descriptor_path(), console()
    if is_bundle:
        descriptor, files = _carry(folder.resolve(), descriptor, files)
    path = folder / "envoy.yaml"
    admin = settings.admin_listen or str(folder.resolve() / ADMIN_SOCKET)
    path.write_text(_configuration(settings, paths, admin, descriptor, files))
    return path


def _carry(folder: Path, descriptor: Path, files: Console | None) -> tuple[Path, Console | None]:
    """Copy what the configuration names into its folder, and return the copies."""
    copied = Path(shutil.copyfile(descriptor, folder / descriptor.name))
    if files is None:
        return copied, None
    place = folder / "console"
    if place.exists():
        shutil.rmtree(place)
    shutil.copytree(files.folder, place, symlinks=True)
    return copied, read_console(place)


def _secrets(settings: EdgeSettings) -> dict[str, JSON]:
    authority = settings.mesh_authority.absolute()
    secrets: dict[str, JSON] = {
        "mesh-certificate": _certificate(settings.mesh_certificate, settings.mesh_key),
        "mesh-authority": {"validation_context": {"trusted_ca": {"filename": str(authority)}} | _watched(authority)},
    }
    if settings.tls_certificate is not None and settings.tls_key is not None:
        secrets["public-certificate"] = _certificate(settings.tls_certificate, settings.tls_key)
    return secrets


def _certificate(certificate: Path, key: Path) -> JSON:
    chain, private = certificate.absolute(), key.absolute()
    files = {"certificate_chain": {"filename": str(chain)}, "private_key": {"filename": str(private)}}
    return {"tls_certificate": files | _watched(chain)}


def _watched(path: Path) -> JSON:
    """A file that is moved into the folder makes Envoy read again.

    The path keeps its links: an orchestrator renews the files by moving another link into the folder, and removes their
    former place.
    """
    return {"watched_directory": {"path": str(path.parent)}}


def _configuration(
    settings: EdgeSettings, secrets: Mapping[str, str], admin: str, path: Path, files: Console | None
) -> str:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 - YAML, quoted by tojson
    template = environment.from_string(TEMPLATE_PATH.read_text())
    services = [_edge_service(service) for service in edge_services(path)]
    return template.render(
        descriptor_path=str(path),
        requests=program(path, (name for name, body_bytes in PUBLIC_SERVICES.items() if not body_bytes)),
        console=files,
        console_prefix=PREFIX,
        console_types=CONTENT_TYPES,
        console_headers=HEADERS,
        services=services,
        # Beside the webhooks, whose limits are wider.
        keyed_prefixes=keyed_prefixes(path, "/api/"),
        rpc_services=[*(service.name for service in services), *PUBLIC_SERVICES],
        public_services=PUBLIC_SERVICES,
        grpc_types=GRPC_TYPES,
        headers=_Headers(),
        security_headers=SECURITY_HEADERS | (TLS_ONLY if settings.is_reached_by_tls else {}),
        source_header=SOURCE_HEADER,
        protocol_header=PROTOCOL_HEADER,
        listen=_address(settings.listen),
        admin=admin,
        metrics=_address(settings.metrics_listen),
        metrics_hosts=_metrics_hosts(settings),
        secrets=secrets,
        upstreams={
            "token_vault": [_address(text) for text in settings.token_vault],
            "ingest": [_address(text) for text in settings.ingest],
            "processor": [_address(text) for text in settings.processor],
            "delivery": [_address(text) for text in settings.delivery],
            "workflows": [_address(text) for text in settings.workflows],
            "primitives": [_address(text) for text in settings.primitives],
        },
        agents=_agents(settings, secrets),
        pushes=_pushes(settings),
        otlp=_otlp(settings),
        allowed_origins=[{"exact": origin} for origin in settings.allowed_origins],
        limits=settings,
        buckets=_buckets(settings),
        local_replies=LOCAL_REPLIES,
        push_refused=PUSH_REFUSED,
    )


def _buckets(settings: EdgeSettings) -> list[RateBucket]:
    public = ("public", 429, settings.public_per_second, settings.public_burst)
    return [
        RateBucket("webhooks", "webhooks", 503, settings.webhooks_per_second, settings.webhooks_burst),
        RateBucket("api", "api", 429, settings.api_per_second, settings.api_burst),
        RateBucket("content", "content", 429, settings.content_per_second, settings.content_burst),
        RateBucket("oauth", "oauth", 429, settings.oauth_per_second, settings.oauth_burst),
        RateBucket("reflection", *public),
        RateBucket("health", *public),
    ]


def _edge_service(service: ContractService) -> EdgeService:
    is_webhook = service.name == WEBHOOKS
    usual = WEBHOOK_TIMEOUT_SECONDS if is_webhook else USUAL_TIMEOUT_SECONDS
    return EdgeService(
        name=service.name,
        cluster=CLUSTERS[service.package],
        methods=service.methods,
        streams=service.streams,
        is_open=service.door == access_pb2.DOOR_OPEN,
        is_webhook=is_webhook,
        takes_content=service.name == CONTENT,
        timeout_seconds=TIMEOUT_SECONDS.get(service.name, usual),
        removed_headers=("authorization",) if service.name in READING_COOKIES else ("authorization", "cookie"),
    )


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return Address(host.strip("[]"), int(port))


def _metrics_hosts(settings: EdgeSettings) -> list[str]:
    """The hosts under which metrics are served: a page that rebinds its own name to our address is not among them."""
    own = settings.metrics_listen.rpartition(":")[0]
    return list(dict.fromkeys((own, "localhost", *settings.metrics_hosts)))


def _pushes(settings: EdgeSettings) -> dict[str, object]:
    if not settings.push_audiences:
        return {}
    is_private = settings.provider_ca is not None and settings.push_certs_url != DEFAULT_CERTS_URL
    return {
        "issuer": settings.push_issuer,
        "audiences": settings.push_audiences,
        "certs_url": settings.push_certs_url,
        "certs_host": settings.push_certs_host,
        "certs_port": settings.push_certs_port,
        "is_address": _is_address(settings.push_certs_host),
        "authorities": str(settings.provider_ca if is_private else settings.system_ca),
    }


def _agents(settings: EdgeSettings, secrets: Mapping[str, str]) -> JSON:
    if not settings.agents:
        return {"routes": [], "clusters": []}
    without = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
        "disabled": True,
    }
    places = [vars(_address(text)) for text in settings.agents]
    certificate, authority = (_sds(name, secrets[name]) for name in ("mesh-certificate", "mesh-authority"))
    return {
        "routes": agents.routes(settings.allowed_origins, without),
        "clusters": [agents.cluster(places, certificate, authority)],
    }


def _sds(name: str, path: str) -> JSON:
    return {"name": name, "sds_config": {"resource_api_version": "V3", "path_config_source": {"path": path}}}


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _otlp(settings: EdgeSettings) -> dict[str, object]:
    if not settings.otlp_endpoint:
        return {}
    url = urlsplit(settings.otlp_endpoint)
    return {"host": url.hostname, "port": url.port or 4317, "sampling_percent": settings.trace_percent}
