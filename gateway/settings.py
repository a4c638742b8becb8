"""The settings of the edge, from its environment."""

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from services.meshkit.settings import CommaSeparated, EnvironmentSettings, env

DEFAULT_CERTS_URL = "https://www.googleapis.com/oauth2/v3/certs"
HOST_AND_PORT = r"^.+:\d{1,5}$"
# Of Linux; macOS takes 103.
MAX_SOCKET_BYTES = 107


class EdgeSettings(EnvironmentSettings):
    """Addresses, certificates and limits of the edge."""

    model_config = SettingsConfigDict(env_prefix="MAILMESH_EDGE_")

    listen: str = Field("127.0.0.1:8080", description="Where the edge listens: host:port.", pattern=HOST_AND_PORT)
    admin_listen: str = Field(
        "",
        description="Envoy's admin interface: the path of a unix socket. Empty: `admin.sock` beside the configuration.",
    )
    metrics_listen: str = Field(
        "127.0.0.1:9901",
        description="Address of the edge's metrics, GET /stats/prometheus: host:port, for the scraper only.",
        pattern=HOST_AND_PORT,
    )
    metrics_hosts: CommaSeparated = Field(
        (), description="Host names of the metrics' address, besides its own host and localhost: host, ..."
    )
    tls_certificate: Path | None = Field(
        None,
        description="The public certificate with its chain, PEM. Empty: plain HTTP, for loopback or behind a proxy.",
    )
    tls_key: Path | None = Field(None, description="The key of the public certificate, PEM.")
    allowed_origins: CommaSeparated = Field(
        (), description="Origins whose pages may call the edge from a browser (CORS)."
    )
    trusted_proxies: int = Field(
        0, ge=0, le=10, description="How many proxies before the edge append to X-Forwarded-For."
    )

    mesh_certificate: Path = env("MAILMESH_TLS_CERT", description="The mesh certificate of identity `envoy`, PEM.")
    mesh_key: Path = env("MAILMESH_TLS_KEY", description="The key of that certificate, PEM.")
    mesh_authority: Path = env("MAILMESH_TLS_CA", description="The certificate authority of the mesh, PEM.")
    token_vault: CommaSeparated = env(
        "MAILMESH_TOKEN_VAULT_ADDRESS", ("127.0.0.1:7101",), description="TokenVault's mesh ports: host:port, ..."
    )
    ingest: CommaSeparated = env(
        "MAILMESH_INGEST_ADDRESS", ("127.0.0.1:7102",), description="Ingest's mesh ports: host:port, ..."
    )
    processor: CommaSeparated = env(
        "MAILMESH_PROCESSOR_ADDRESS", ("127.0.0.1:7103",), description="Processor's mesh ports: host:port, ..."
    )

    workflows: CommaSeparated = env(
        "MAILMESH_WORKFLOWS_ADDRESS", ("127.0.0.1:7107",), description="The mesh ports of Workflows: host:port, ..."
    )
    delivery: CommaSeparated = env(
        "MAILMESH_DELIVERY_ADDRESS", ("127.0.0.1:7104",), description="Delivery's mesh ports: host:port, ..."
    )

    primitives: CommaSeparated = env(
        "MAILMESH_PRIMITIVES_ADDRESS", ("127.0.0.1:7105",), description="Primitives' mesh ports: host:port, ..."
    )

    agents: CommaSeparated = env(
        "MAILMESH_AGENTS_ADDRESS",
        (),
        description="The processes of the door of agents: host:port, ... Empty: the edge has no `/mcp`.",
    )

    public_url: str = env(
        "MAILMESH_PUBLIC_URL", "", description="The address under which the outside reaches the edge."
    )
    push_audience: str = env(
        "MAILMESH_GOOGLEWS_PUBSUB_AUDIENCE",
        "",
        description="The audience of Google's push tokens. Empty: the address of the push route under the public URL.",
    )
    push_issuer: str = env(
        "MAILMESH_GOOGLEWS_ISSUER", "https://accounts.google.com", description="Issuer of Google's push tokens."
    )
    push_certs_url: str = env(
        "MAILMESH_GOOGLEWS_CERTS_URL",
        DEFAULT_CERTS_URL,
        description="Where Google's public keys are.",
        pattern="^https://",
    )
    push_keys_seconds: int = Field(300, ge=1, le=86_400, description="How long Google's public keys are kept, seconds.")
    provider_ca: Path | None = env(
        "MAILMESH_PROVIDER_CA", None, description="The certificate authority of the address of Google's keys, PEM."
    )
    system_ca: Path = Field(
        Path("/etc/ssl/certs/ca-certificates.crt"), description="The certificate authorities of this machine, PEM."
    )
    otlp_endpoint: str = env("MAILMESH_OTLP_ENDPOINT", "", description="Where traces are sent: http://host:4317.")
    trace_percent: float = Field(100.0, ge=0, le=100, description="How many of a hundred requests are traced.")

    webhook_body_bytes: int = Field(
        4 * 1024 * 1024, ge=4096, le=64 * 1024 * 1024, description="The largest body of a webhook, bytes."
    )
    api_body_bytes: int = Field(
        1024 * 1024, ge=4096, le=64 * 1024 * 1024, description="The largest body of an API request, bytes."
    )
    content_body_bytes: int = Field(
        8 * 1024 * 1024,
        ge=4096,
        le=64 * 1024 * 1024,
        description="The largest body of a request that contains a mail or a document, bytes. Base64 adds a third.",
    )
    webhooks_per_second: int = Field(
        2000,
        ge=1,
        le=1_000_000,
        description="Webhooks taken from one source address in a second; twenty times as many from all.",
    )
    webhooks_burst: int = Field(
        10000, ge=1, le=10_000_000, description="Webhooks taken at once from one source address."
    )
    api_per_second: int = Field(200, ge=1, le=1_000_000, description="API requests of one source address in a second.")
    api_burst: int = Field(1000, ge=1, le=10_000_000, description="API requests of one source address at once.")
    content_per_second: int = Field(
        5, ge=1, le=1_000_000, description="Mails and documents to be read of one source address in a second."
    )
    content_burst: int = Field(
        20, ge=1, le=10_000_000, description="Mails and documents to be read of one source address at once."
    )
    oauth_per_second: int = Field(
        20, ge=1, le=1_000_000, description="OAuth requests of one source address in a second."
    )
    oauth_burst: int = Field(100, ge=1, le=10_000_000, description="OAuth requests of one source address at once.")
    public_per_second: int = Field(
        20,
        ge=1,
        le=1_000_000,
        description="Requests of one source address for reflection, and for health, in a second.",
    )
    public_burst: int = Field(
        100, ge=1, le=10_000_000, description="Requests of one source address for reflection, and for health, at once."
    )
    headers_seconds: int = Field(
        10, ge=1, le=3600, description="How long a request's headers may take to arrive, seconds."
    )
    request_seconds: int = Field(30, ge=1, le=3600, description="How long a whole request may take to arrive, seconds.")
    concurrent_requests: int = Field(
        1024, ge=1, le=1_000_000, description="Requests under way to one service; beyond it, 503 at once."
    )
    concurrent_streams: int = Field(
        2048,
        ge=1,
        le=1_000_000,
        description="Streams of events under way, beside other requests; beyond it, 503 at once.",
    )
    public_requests: int = Field(
        256, ge=1, le=1_000_000, description="Requests for reflection and health under way; beyond it, 503 at once."
    )
    connections: int = Field(
        10000, ge=1, le=10_000_000, description="Connections from outside; further ones are not accepted."
    )
    heap_bytes: int = Field(
        1024 * 1024 * 1024,
        ge=128 * 1024 * 1024,
        le=1024 * 1024 * 1024 * 1024,
        description="The edge's memory, bytes; requests are refused with 503 when it uses 95 percent.",
    )

    @field_validator("admin_listen")
    @classmethod
    def _admin_is_a_path(cls, value: str) -> str:
        path = value.removeprefix("unix:")
        if path and not path.startswith("/"):
            raise ValueError(
                "it is the absolute path of a unix socket: any page in a browser could call a port of the admin "
                "interface; MAILMESH_EDGE_METRICS_LISTEN has a port for metrics"
            )
        if len(path.encode()) > MAX_SOCKET_BYTES:
            raise ValueError(f"the path of a unix socket has {MAX_SOCKET_BYTES} bytes at most")
        return path

    @model_validator(mode="after")
    def _certificate_and_key_go_together(self) -> "EdgeSettings":
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("MAILMESH_EDGE_TLS_CERTIFICATE and MAILMESH_EDGE_TLS_KEY are given together or not at all")
        return self

    @property
    def is_reached_by_tls(self) -> bool:
        """Whether the outside reaches the edge by https: here, or at the operator's proxy."""
        return self.tls_certificate is not None or self.public_url.startswith("https://")

    @property
    def push_audiences(self) -> list[str]:
        """The audiences that a push token may have; empty when no push is expected."""
        if self.push_audience:
            return [self.push_audience]
        return [f"{self.public_url}/api/googlews/webhook"] if self.public_url else []

    @property
    def push_certs_host(self) -> str:
        """The host of the address of Google's keys."""
        return urlsplit(self.push_certs_url).hostname or ""

    @property
    def push_certs_port(self) -> int:
        """The port of the address of Google's keys."""
        return urlsplit(self.push_certs_url).port or 443
