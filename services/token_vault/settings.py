"""Settings of TokenVault from the environment."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.meshkit.secret import Secret
from services.meshkit.settings import CommaSeparated, EnvironmentSettings, MeshSettings, StoreSettings, env

NAME = "token-vault"
MICROSOFT_SCOPES = ("openid", "profile", "email", "offline_access", "User.Read")
GOOGLE_SCOPES = ("openid", "email")


class KeySettings(EnvironmentSettings):
    """Sources of the key-encryption keys."""

    model_config = SettingsConfigDict(env_prefix="MAILMESH_VAULT_")

    keys: Secret | None = Field(
        None, description="Key-encryption keys, `id:base64` separated by commas. A rotation goes to the first."
    )
    keys_file: Path | None = Field(
        None, description="A file with key-encryption keys, one `id:base64` a line. Read beside MAILMESH_VAULT_KEYS."
    )


class RotateSettings(KeySettings, StoreSettings):
    """Settings of the command that rotates keys."""

    model_config = SettingsConfigDict(env_prefix="MAILMESH_VAULT_")


class SignInSettings(EnvironmentSettings):
    """The identity provider at which people sign in. Without an issuer, they sign in with API keys alone."""

    model_config = SettingsConfigDict(env_prefix="MAILMESH_VAULT_")

    sign_in_issuer: str = Field(
        "",
        pattern=r"^(https://[^?#]+)?$",
        description="Issuer of the OpenID provider at which people sign in to the console. Empty: none is offered.",
    )
    sign_in_name: str = Field(
        "your organisation", max_length=100, description="Name of that provider on the console's button."
    )
    sign_in_client_id: str = Field("", description="Client id of mailmesh at that provider.")
    sign_in_client_secret: Secret | None = Field(None, description="Client secret of mailmesh at that provider.")
    sign_in_scopes: CommaSeparated = Field(
        ("openid", "profile", "email"),
        description="Scopes of the sign-in, separated by commas; some providers need another one for groups.",
    )
    sign_in_groups_claim: str = Field(
        "groups", min_length=1, max_length=200, description="Claim of the id token with the person's groups or roles."
    )
    sign_in_groups: CommaSeparated = Field(
        (),
        description="Rights of groups, separated by commas: `GROUP=ROLE` or `GROUP=ROLE:ABILITY+ABILITY`, `*` for all"
        " abilities. A person without any of these groups is refused.",
    )
    sign_in_audience: str = Field(
        "",
        max_length=500,
        description="Audience that access tokens of agents at `/mcp` must name; never the client id. Empty: the address"
        " of `/mcp`.",
    )
    sign_in_agent_scopes: CommaSeparated = Field(
        (),
        description="Scopes that hosts of agents ask that provider for, separated by commas. Empty: their own choice.",
    )


class VaultSettings(KeySettings, SignInSettings, MeshSettings):
    """Settings of TokenVault. A provider is offered when its client id is set; Google wants the secret with it."""

    model_config = SettingsConfigDict(env_prefix="MAILMESH_VAULT_")

    delivery_address: str = env("MAILMESH_DELIVERY_ADDRESS", "127.0.0.1:7104", description="The mesh port of Delivery.")
    workflows_address: str = env(
        "MAILMESH_WORKFLOWS_ADDRESS", "127.0.0.1:7107", description="The mesh port of Workflows."
    )

    ms365_authority: str = env(
        "MAILMESH_MS365_AUTHORITY",
        "https://login.microsoftonline.com/organizations",
        description="Microsoft's authority; another host for national clouds.",
        pattern=r"^https://[^/]+/[^/]+$",
    )
    ms365_graph_url: str = env(
        "MAILMESH_MS365_GRAPH_URL",
        "https://graph.microsoft.com/v1.0",
        description="Microsoft Graph with its version.",
        pattern=r"^https://.+[^/]$",
    )
    ms365_client_id: str = env(
        "MAILMESH_MS365_CLIENT_ID",
        "",
        description="Application (client) id of the app registration. Empty: Microsoft 365 is not offered.",
    )
    ms365_client_secret: Secret | None = env(
        "MAILMESH_MS365_CLIENT_SECRET",
        None,
        description="Client secret of the app registration. Client certificates take precedence over it.",
    )
    ms365_scopes: CommaSeparated = env(
        "MAILMESH_MS365_SCOPES",
        MICROSOFT_SCOPES,
        description="Scopes that every account must grant, beside those of its abilities, separated by commas.",
    )
    ms365_shared_mailboxes: bool = env(
        "MAILMESH_MS365_SHARED_MAILBOXES",
        default=False,
        description="Ask accounts for the mailboxes that others share with them, too (`Mail.Read.Shared` and its kin,"
        " `User.ReadBasic.All`).",
    )
    ms365_redirect_uri: str = env(
        "MAILMESH_MS365_REDIRECT_URI",
        "",
        description="Redirect URI of the app registration. Empty: the public URL with /auth/oauth/ms365/callback.",
    )

    google_auth_url: str = env(
        "MAILMESH_GOOGLEWS_AUTH_URL",
        "https://accounts.google.com/o/oauth2/v2/auth",
        description="Google's consent page.",
    )
    google_token_url: str = env(
        "MAILMESH_GOOGLEWS_TOKEN_URL",
        "https://oauth2.googleapis.com/token",
        description="Google's token endpoint.",
        pattern=r"^https://.+",
    )
    google_revoke_url: str = env(
        "MAILMESH_GOOGLEWS_REVOKE_URL",
        "https://oauth2.googleapis.com/revoke",
        description="Google's revocation endpoint.",
        pattern=r"^https://.+",
    )
    google_certs_url: str = env(
        "MAILMESH_GOOGLEWS_CERTS_URL",
        "https://www.googleapis.com/oauth2/v3/certs",
        description="Google's public keys (JWKS).",
        pattern=r"^https://.+",
    )
    google_userinfo_url: str = env(
        "MAILMESH_GOOGLEWS_USERINFO_URL",
        "https://openidconnect.googleapis.com/v1/userinfo",
        description="Google's endpoint for the identity of an account.",
        pattern=r"^https://.+",
    )
    google_gmail_url: str = env(
        "MAILMESH_GOOGLEWS_GMAIL_URL",
        "https://gmail.googleapis.com/gmail/v1",
        description="The Gmail API with its version.",
        pattern=r"^https://.+[^/]$",
    )
    google_calendar_url: str = env(
        "MAILMESH_GOOGLEWS_CALENDAR_URL",
        "https://www.googleapis.com/calendar/v3",
        description="The Calendar API with its version.",
        pattern=r"^https://.+[^/]$",
    )
    google_directory_url: str = env(
        "MAILMESH_GOOGLEWS_DIRECTORY_URL",
        "https://admin.googleapis.com/admin/directory/v1",
        description="The Directory API of Google's Admin SDK with its version.",
        pattern=r"^https://.+[^/]$",
    )
    google_iam_credentials_url: str = env(
        "MAILMESH_GOOGLEWS_IAM_CREDENTIALS_URL",
        "https://iamcredentials.googleapis.com/v1",
        description="Google's IAM Credentials API with its version, which signs for the keyless service account.",
        pattern=r"^https://.+[^/]$",
    )
    google_keyless_account: str = env(
        "MAILMESH_GOOGLEWS_KEYLESS_ACCOUNT",
        "",
        description="Address of the service account for which the platform's identity has Google sign; no key is used"
        " then. Empty: domain-wide delegation is by key.",
        pattern=r"^([^@/\s]+@[^@/\s]+\.gserviceaccount\.com)?$",
        max_length=320,
    )
    google_keyless_client_id: str = env(
        "MAILMESH_GOOGLEWS_KEYLESS_CLIENT_ID",
        "",
        description="Numeric id (OAuth 2 client id) of that service account, to which administrators grant scopes.",
        pattern=r"^([0-9]{6,30})?$",
    )
    google_issuer: str = env(
        "MAILMESH_GOOGLEWS_ISSUER", "https://accounts.google.com", description="The issuer of Google's id tokens."
    )
    google_client_id: str = env(
        "MAILMESH_GOOGLEWS_CLIENT_ID", "", description="OAuth client id. Empty: Google Workspace is not offered."
    )
    google_client_secret: Secret | None = env(
        "MAILMESH_GOOGLEWS_CLIENT_SECRET", None, description="OAuth client secret."
    )
    google_scopes: CommaSeparated = env(
        "MAILMESH_GOOGLEWS_SCOPES",
        GOOGLE_SCOPES,
        description="Scopes that every account must grant, beside those of its abilities, separated by commas.",
    )
    google_redirect_uri: str = env(
        "MAILMESH_GOOGLEWS_REDIRECT_URI",
        "",
        description="Redirect URI of the OAuth client. Empty: the public URL with /auth/oauth/googlews/callback.",
    )

    provider_threads: int = Field(
        16, ge=1, le=256, description="Concurrent calls to providers' token endpoints, in threads."
    )
    provider_timeout_seconds: float = Field(
        10.0, gt=0, le=60, description="Time limit for a provider's answer to one request."
    )
    flow_seconds: int = Field(600, ge=30, le=600, description="Lifetime of a ticket, and then of a state.")
    refresh_ahead_seconds: int = Field(
        900, ge=60, le=86_400, description="How long before its end a token is refreshed in the background."
    )
    refresh_concurrency: int = Field(8, ge=1, le=256, description="Concurrent background refreshes in this process.")
    refresh_interval_seconds: float = Field(
        5.0, gt=0, le=3600, description="Interval at which a process checks for due refreshes."
    )
    disconnect_wait_seconds: int = Field(
        120, ge=0, le=86_400, description="How long a disconnect waits until the subscriptions are deleted."
    )
    revoke_wait_seconds: int = Field(
        3600,
        ge=0,
        le=2_592_000,
        description="How long a disconnect tries to revoke the grant before it destroys the credentials anyway.",
    )
    audit_retention_days: int = Field(
        90, ge=90, le=3650, description="Retention of the audit log, which is deleted by whole months."
    )
    backup_retention_days: int = Field(
        30,
        ge=0,
        le=3650,
        description="Days for which the operator keeps backups. Reports of erasures say when the last one is deleted.",
    )
    change_retention_days: int = Field(90, ge=7, le=3650, description="Retention of the log of tenants' changes.")
    session_idle_seconds: int = Field(
        1800, ge=60, le=86_400, description="How long a browser's session lasts without a request."
    )
    session_seconds: int = Field(
        43_200, ge=300, le=604_800, description="How long a browser's session lasts at most; then it signs in again."
    )
    api_key_cache_seconds: float = Field(
        3.0, ge=0, le=10, description="How long the answer about an API key or a session may be reused."
    )
