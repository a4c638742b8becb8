"""The tables of schema `vault`; a test compares the migrations with them. Comments mark sealed and digested columns."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

SCHEMA = "vault"
metadata = sa.MetaData(schema=SCHEMA)

_Time = sa.DateTime(timezone=True)
_Id = pg.UUID(as_uuid=False)


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False, server_default="")


def _abilities(name: str) -> "sa.Column[list[str]]":
    return sa.Column(name, pg.ARRAY(sa.Text), nullable=False, server_default=sa.text("'{mail.read}'::text[]"))


tenants = sa.Table(
    "tenants",
    metadata,
    sa.Column("tenant_id", _Id, primary_key=True),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("external_account", sa.Text, nullable=False),
    _text("external_tenant_id"),
    _text("user_id"),
    _text("address"),
    _text("display_name"),
    sa.Column("status", sa.Text, nullable=False),
    _text("status_reason"),
    _text("status_detail"),
    sa.Column("status_changed_at", _Time, nullable=False),
    _text("grant_fault"),  # why the provider no longer honours the grant, whatever the status is
    sa.Column("probe_at", _Time),  # time of the next probe
    sa.Column("probe_failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("address_checked_at", _Time),  # last probe for an address because a push named an unknown one
    sa.Column("released_at", _Time),  # while disconnecting: the subscriptions are gone
    sa.Column("connected_at", _Time, nullable=False),
    sa.Column("created_at", _Time, nullable=False),
    sa.Column("updated_at", _Time, nullable=False),
    _abilities("requested_abilities"),
    sa.Column("directory_id", sa.Text),  # of an app-only tenant: its own organisation, which has consented
    sa.Column(  # of a shared mailbox: the tenant whose grant opens it
        "owner_tenant_id",
        _Id,
        sa.ForeignKey("vault.tenants.tenant_id", name="tenants_owner", ondelete="SET NULL"),
    ),
    sa.UniqueConstraint("provider", "external_account", name="tenants_account"),
    sa.ForeignKeyConstraint(
        ["provider", "directory_id"],
        ["vault.directories.provider", "vault.directories.directory_id"],
        name="tenants_directory",
    ),
    sa.CheckConstraint("directory_id = external_tenant_id", name="tenants_own_directory"),
    sa.Index("tenants_order", "created_at", "tenant_id"),
    sa.Index("tenants_address", "address"),
    sa.Index("tenants_owned", "owner_tenant_id", postgresql_where=sa.text("owner_tenant_id IS NOT NULL")),
    sa.Index("tenants_probe", "probe_at", postgresql_where=sa.text("probe_at IS NOT NULL")),
    sa.Index("tenants_disconnecting", "status_changed_at", postgresql_where=sa.text("status = 'disconnecting'")),
)

directories = sa.Table(
    "directories",
    metadata,
    sa.Column("provider", sa.Text, primary_key=True),
    sa.Column("directory_id", sa.Text, primary_key=True),
    sa.Column("allowed_addresses", pg.ARRAY(sa.Text), nullable=False),
    sa.Column("allows_all", sa.Boolean, nullable=False),
    sa.Column("listed_at", _Time, nullable=False),
    sa.Column("roles", pg.ARRAY(sa.Text), nullable=False),
    sa.Column("consented_at", _Time, nullable=False),
    _text("administrator"),  # as whom Google lets the users be read
)

app_credentials = sa.Table(
    "app_credentials",
    metadata,
    sa.Column("credential_id", _Id, primary_key=True),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("key_name", sa.Text, nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("client_id", sa.Text, nullable=False),
    sa.Column("certificate", sa.Text, nullable=False),
    sa.Column("expires_at", _Time),
    sa.Column("created_at", _Time, nullable=False),
    sa.Column("data_key_id", _Id, nullable=False),
    sa.Column("key_encryption_key_id", sa.Text, nullable=False),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),  # the data key, sealed by the key-encryption key
    sa.Column("private_key", sa.LargeBinary, nullable=False),  # sealed by the data key
    sa.UniqueConstraint("provider", "key_name", name="app_credentials_key"),
    sa.Index("app_credentials_wrapped_by", "key_encryption_key_id"),
)

tenant_keys = sa.Table(
    "tenant_keys",
    metadata,
    sa.Column("tenant_id", _Id, sa.ForeignKey("vault.tenants.tenant_id"), primary_key=True),
    sa.Column("data_key_id", _Id, nullable=False),
    sa.Column("key_encryption_key_id", sa.Text, nullable=False),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),  # the data key, sealed by the key-encryption key
    sa.Index("tenant_keys_wrapped_by", "key_encryption_key_id"),
)

content_keys = sa.Table(
    "content_keys",
    metadata,
    sa.Column("tenant_id", _Id, sa.ForeignKey("vault.tenants.tenant_id"), primary_key=True),
    sa.Column("data_key_id", _Id, nullable=False),
    sa.Column("key_encryption_key_id", sa.Text, nullable=False),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),  # the content key, sealed by the key-encryption key
    sa.Index("content_keys_wrapped_by", "key_encryption_key_id"),
)

tenant_tokens = sa.Table(
    "tenant_tokens",
    metadata,
    sa.Column("tenant_id", _Id, sa.ForeignKey("vault.tenants.tenant_id"), primary_key=True),
    sa.Column("token_type", sa.Text, nullable=False),
    sa.Column("scopes", pg.ARRAY(sa.Text), nullable=False),
    sa.Column("data_key_id", _Id, nullable=False),
    sa.Column("access_token", sa.LargeBinary, nullable=False),  # sealed by the data key
    sa.Column("refresh_token", sa.LargeBinary, nullable=False),  # sealed by the data key
    sa.Column("expires_at", _Time, nullable=False),
    sa.Column("refresh_expires_at", _Time),
    sa.Column("last_refreshed_at", _Time, nullable=False),
    sa.Column("next_refresh_at", _Time, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False, server_default="1"),
    sa.Column("refresh_owner", _Id),
    sa.Column("refresh_until", _Time),
    sa.Column("refresh_failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("refresh_not_before", _Time),
    _text("last_refresh_error"),
    sa.Index("tenant_tokens_due", "next_refresh_at"),
)

key_encryption_keys = sa.Table(
    "key_encryption_keys",
    metadata,
    sa.Column("key_id", sa.Text, primary_key=True),
    sa.Column("check_value", sa.LargeBinary, nullable=False),  # a known text, sealed by the key
    sa.Column("first_seen_at", _Time, nullable=False),
)

writing_key = sa.Table(
    "writing_key",
    metadata,
    sa.Column("is_only", sa.Boolean, primary_key=True, server_default=sa.true()),
    sa.Column("key_id", sa.Text, sa.ForeignKey("vault.key_encryption_keys.key_id"), nullable=False),
)

processes = sa.Table(
    "processes",
    metadata,
    sa.Column("process_id", _Id, primary_key=True),
    sa.Column("key_ids", pg.ARRAY(sa.Text), nullable=False),
    sa.Column("started_at", _Time, nullable=False),
    sa.Column("seen_at", _Time, nullable=False),
)

authorization_flows = sa.Table(
    "authorization_flows",
    metadata,
    sa.Column("flow_id", _Id, primary_key=True),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("tenant_id", _Id),  # of a reconnect, and of the tenant once it is connected
    _text("login_hint"),
    _text("display_name"),
    sa.Column("started_by", sa.Text, nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("ticket_digest", sa.LargeBinary, nullable=False),
    sa.Column("browser_digest", sa.LargeBinary),
    sa.Column("state_digest", sa.LargeBinary),
    sa.Column("kept", sa.LargeBinary),  # verifier and nonce, sealed with a key that only the browser's cookie gives
    _text("reason"),
    _text("detail"),
    sa.Column("created_at", _Time, nullable=False),
    sa.Column("expires_at", _Time, nullable=False),
    _text("correlation_id"),
    _abilities("abilities"),
    _text("directory_id"),  # of an administrator's consent
    sa.Column("allowed_addresses", pg.ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'::text[]")),
    sa.Column("allows_all", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.UniqueConstraint("ticket_digest", name="authorization_flows_ticket"),
    sa.UniqueConstraint("state_digest", name="authorization_flows_state"),
    sa.Index("authorization_flows_age", "created_at"),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("api_key_id", _Id, primary_key=True),
    sa.Column("display_name", sa.Text, nullable=False),
    sa.Column("prefix", sa.Text, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),  # SHA-256 of the whole key
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("tenant_ids", pg.ARRAY(_Id), nullable=False),  # none means all
    sa.Column("created_at", _Time, nullable=False),
    sa.Column("expires_at", _Time),
    sa.Column("last_used_at", _Time),
    sa.Column("revoked_at", _Time),
    sa.Column("created_by", sa.Text, nullable=False),
    _abilities("abilities"),  # "*" means all
    sa.UniqueConstraint("prefix", name="api_keys_prefix"),
    sa.Index("api_keys_order", "created_at", "api_key_id"),
)

request_ids = sa.Table(
    "request_ids",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("request_id", _Id, primary_key=True),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("result_id", _Id, nullable=False),
    sa.Column("created_at", _Time, nullable=False),
    sa.Index("request_ids_age", "created_at"),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("session_id", _Id, primary_key=True),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("api_key_id", _Id, sa.ForeignKey("vault.api_keys.api_key_id"), nullable=False),
    sa.Column("created_at", _Time, nullable=False),
    sa.Column("last_used_at", _Time, nullable=False),
    sa.Column("expires_at", _Time, nullable=False),
    sa.UniqueConstraint("digest", name="sessions_digest"),
    sa.Index("sessions_of_key", "api_key_id"),
    sa.Index("sessions_age", "expires_at"),
)

people = sa.Table(
    "people",
    metadata,
    sa.Column("person", sa.LargeBinary, primary_key=True),  # digest of issuer and subject
    sa.Column("api_key_id", _Id, sa.ForeignKey("vault.api_keys.api_key_id"), nullable=False),
    sa.Column("proven_at", _Time, nullable=False, server_default=sa.text("'1970-01-01 00:00:00+00'::timestamptz")),
    sa.Column("is_refused", sa.Boolean, nullable=False, server_default=sa.false()),  # by the newest proof
    sa.Column("not_before", _Time),  # end of the last revoked key; tokens of before stay refused
    sa.Index("people_key", "api_key_id", unique=True),
)

change_position = sa.Table(
    "change_position",
    metadata,
    sa.Column("is_only", sa.Boolean, primary_key=True, server_default=sa.true()),
    sa.Column("position", sa.BigInteger, nullable=False),
)

tenant_changes = sa.Table(
    "tenant_changes",
    metadata,
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("change_id", _Id, nullable=False),
    sa.Column("tenant_id", _Id, nullable=False),
    sa.Column("tenant", sa.LargeBinary, nullable=False),  # mailmesh.vault.v1.Tenant after the change
    _text("previous_status"),
    sa.Column("changed_at", _Time, nullable=False),
    _text("correlation_id"),
    sa.Column("is_reconnected", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Index("tenant_changes_age", "changed_at"),
)

erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("tenant_id", _Id, primary_key=True),  # without a reference: the tenant's row is removed
    sa.Column("requested_at", _Time, nullable=False),
    sa.Column("confirmed_at", _Time, nullable=False),  # time of the last service's confirmation
    sa.Column("finished_at", _Time),
    sa.Column("backups_forget_at", _Time),
    sa.Column("parts", pg.JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
    _text("report"),
    _text("signature"),
    _text("certificate"),
)

erased_tenants = sa.Table(
    "erased_tenants",
    metadata,
    sa.Column("tenant_id", _Id, primary_key=True),  # without a reference: the tenant's row is removed
    sa.Column("begun_at", _Time, nullable=False, server_default=sa.text("now()")),
    sa.Column("removed", pg.JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
)

person_erasures = sa.Table(
    "person_erasures",
    metadata,
    sa.Column("erasure_id", _Id, primary_key=True),
    sa.Column("tenant_id", _Id, nullable=False),
    sa.Column("address", sa.Text, nullable=False),  # emptied at the end
    sa.Column("address_digest", sa.Text, nullable=False),
    sa.Column("digest_key", sa.Text, nullable=False),  # emptied at the end
    sa.Column("requested_at", _Time, nullable=False),
    sa.Column("confirmed_at", _Time, nullable=False),  # time of the last service's confirmation
    sa.Column("finished_at", _Time),
    sa.Column("cancelled_at", _Time),
    sa.Column("backups_forget_at", _Time),
    sa.Column("parts", pg.JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
    sa.Column("progress", pg.JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
    _text("report"),
    _text("signature"),
    _text("certificate"),
    sa.Index("person_erasures_pending", "requested_at", postgresql_where=sa.text("finished_at IS NULL")),
    sa.Index(
        "person_erasures_running",
        "tenant_id",
        "address",
        unique=True,
        postgresql_where=sa.text("finished_at IS NULL"),
    ),
    sa.Index("person_erasures_tenant", "tenant_id"),
)

erased_persons = sa.Table(
    "erased_persons",
    metadata,
    sa.Column("erasure_id", _Id, primary_key=True),
    sa.Column("tenant_id", _Id, nullable=False),
    sa.Column("removed", pg.JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
    sa.Column("cut_off_at", _Time, nullable=False, server_default=sa.func.now()),
    sa.Column("bounds", pg.JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
    sa.Column("step", sa.Integer, nullable=False, server_default=sa.text("0")),
    sa.Column("step_at", _Time, nullable=False, server_default=sa.func.now()),
    sa.Column("reached", pg.ARRAY(sa.Text)),
    sa.Column("checked", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("holder", _Id),
    sa.Column("leased_until", _Time),
    sa.Column("finished_at", _Time),
    sa.Index("erased_persons_tenant", "tenant_id"),
)

audit_entries = sa.Table(
    "audit_entries",
    metadata,
    sa.Column("occurred_at", _Time, primary_key=True),
    sa.Column("audit_entry_id", _Id, primary_key=True),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("tenant_id", _Id),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("detail", pg.JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
    _text("correlation_id"),
    sa.Index("audit_entries_tenant", "tenant_id", "occurred_at", "audit_entry_id"),
    postgresql_partition_by="RANGE (occurred_at)",
)
