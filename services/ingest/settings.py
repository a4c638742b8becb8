"""Settings of Ingest, from the environment."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.meshkit.secret import Secret
from services.meshkit.settings import CommaSeparated, MeshSettings, env


class IngestSettings(MeshSettings):
    """Settings of Ingest."""

    model_config = SettingsConfigDict(env_prefix="MAILMESH_INGEST_")

    google_pubsub_service_account: str = env(
        "MAILMESH_GOOGLEWS_PUBSUB_SERVICE_ACCOUNT",
        "",
        description="E-mail address of the service account that signs Pub/Sub pushes. Empty: every push is refused.",
    )

    commit_seconds: float = Field(
        2.0, gt=0, le=10, description="How long a webhook may wait for its commit; after it the answer is 503."
    )
    buffer_notifications: int = Field(
        5_000,
        ge=1,
        le=1_000_000,
        description="The most notifications that wait for a commit; beyond it, 503 at once.",
    )
    group_notifications: int = Field(1_000, ge=1, le=10_000, description="The most notifications in one commit.")
    concurrent_rpcs: int = Field(
        2_000, ge=10, le=1_000_000, description="The most RPCs at the same time, webhooks included."
    )
    match_cache_entries: int = Field(
        50_000,
        ge=1,
        le=10_000_000,
        description="The most cached subscriptions, and the most cached addresses, for matching.",
    )
    match_cache_seconds: float = Field(
        15.0, ge=0, le=300, description="How long a cached subscription is trusted without reading it again."
    )
    lease_deaths: int = Field(
        5, ge=3, le=100, description="Leases that may expire over an item before it is buried as poisoned."
    )
    database_connections: int = Field(10, ge=2, le=100, description="The most connections to PostgreSQL.")
    inbox_retention_days: int = Field(
        30,
        ge=1,
        le=3650,
        description="How long processed items and retried dead letters are kept. Pending items always stay.",
    )
    key_retention_days: int = Field(
        32,
        ge=31,
        le=3650,
        description="How long repeats of a notification are recognized; longer than any redelivery.",
    )
    upkeep_seconds: float = Field(
        60.0, gt=0, le=86_400, description="The interval between rounds of partitions and retention."
    )
    refusals_to_reconcile: int = Field(
        50,
        ge=1,
        le=1_000_000_000,
        description="Notifications refused with 503 within a minute that make all mailboxes reconcile.",
    )
    edge_admin_urls: CommaSeparated = Field(
        (),
        description="The edges' metrics listeners, http://host:port, ...: the source of the edge's own refusals."
        " Empty: only Ingest's refusals count.",
    )
    reconcile_spread_seconds: int = Field(
        900, ge=0, le=86_400, description="The time over which the reconciliations of many mailboxes are spread."
    )
    graph_url: str = env(
        "MAILMESH_MS365_GRAPH_URL",
        "https://graph.microsoft.com/v1.0",
        description="Microsoft Graph's base address with its version.",
        pattern=r"^https://.+[^/]$",
    )
    ms365_authority: str = env(
        "MAILMESH_MS365_AUTHORITY",
        "https://login.microsoftonline.com/organizations",
        description="Microsoft's authority; another host for national clouds.",
        pattern=r"^https://[^/]+/[^/]+$",
    )
    ms365_client_id: str = env(
        "MAILMESH_MS365_CLIENT_ID",
        "",
        description="Application (client) id of the app registration: the audience of validation tokens.",
    )
    ms365_sts_url: str = env(
        "MAILMESH_MS365_STS_URL",
        "https://sts.windows.net",
        description="The beginning of the issuer of Microsoft's tokens of version 1.0; another in national clouds.",
        pattern=r"^https://.+[^/]$",
    )
    ms365_publisher_id: str = env(
        "MAILMESH_MS365_PUBLISHER_ID",
        "0bf30f3b-4a52-48df-9a82-234910c4a086",
        description="Application id of Graph's change tracking, which signs notifications with resource data.",
        pattern=r"^[0-9A-Fa-f-]{36}$",
    )
    resource_data: bool = Field(
        default=False,
        description="Whether subscriptions at Microsoft may ask for notifications with resource data. Needs keys.",
    )
    keys: Secret | None = Field(
        None,
        description="Keys that seal the private keys of certificates for resource data: `id:base64` of 32 random bytes,"
        " separated by commas. The first seals; the others open. A new first key makes a new certificate.",
    )
    keys_file: Path | None = Field(None, description="The same keys in a file, one entry a line.")
    certificate_days: int = Field(
        90,
        ge=30,
        le=825,
        description="Life of a certificate for resource data. It is replaced at half of it.",
    )
    gmail_url: str = env(
        "MAILMESH_GOOGLEWS_GMAIL_URL",
        "https://gmail.googleapis.com/gmail/v1",
        description="The Gmail API's base address with its version.",
        pattern=r"^https://.+[^/]$",
    )
    google_calendar_url: str = env(
        "MAILMESH_GOOGLEWS_CALENDAR_URL",
        "https://www.googleapis.com/calendar/v3",
        description="The Google Calendar API's base address with its version.",
        pattern=r"^https://.+[^/]$",
    )
    pubsub_topic: str = env(
        "MAILMESH_GOOGLEWS_PUBSUB_TOPIC",
        "",
        description="The Pub/Sub topic of Gmail's watches: projects/.../topics/... Empty: Google tenants are polled.",
        pattern=r"^(|projects/[^/]+/topics/[^/]+)$",
    )
    pubsub_url: str = env(
        "MAILMESH_GOOGLEWS_PUBSUB_URL",
        "https://pubsub.googleapis.com/v1",
        description="The Pub/Sub API's base address with its version.",
        pattern=r"^https://.+[^/]$",
    )
    pubsub_subscription: str = env(
        "MAILMESH_GOOGLEWS_PUBSUB_SUBSCRIPTION",
        "",
        description="The pull subscription of that topic: projects/.../subscriptions/... Gmail's notifications are"
        " pulled from it, so that they need no public address. Empty: nothing is pulled.",
        pattern=r"^(|projects/[^/]+/subscriptions/[^/]+)$",
    )
    pubsub_key: Secret | None = env(
        "MAILMESH_GOOGLEWS_PUBSUB_KEY",
        None,
        description="The key of the service account that may consume the subscription: the JSON that Google offers for"
        " download. Empty: the platform's credentials, or the file that GOOGLE_APPLICATION_CREDENTIALS names.",
    )
    pull_messages: int = Field(100, ge=1, le=1_000, description="The most messages of one pull.")
    pull_seconds: float = Field(
        20.0,
        ge=1,
        le=90,
        description="How long a pull waits for messages. Another process takes over ten seconds after this time.",
    )
    silence_minutes: int = Field(
        240,
        ge=1,
        le=525_600,
        description="How long a subscription may be silent before its mailbox is reconciled.",
    )
    calendar_silence_minutes: int = Field(
        1440,
        ge=1,
        le=525_600,
        description="How long a calendar's subscription may be silent before the calendar is read.",
    )
    subscription_seconds: float = Field(
        1.0,
        gt=0,
        le=3600,
        description="Interval of polls for due subscriptions and lifecycle notifications; five times longer if idle.",
    )
