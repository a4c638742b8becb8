"""The vault: tenants, their sealed tokens, flows, API keys, the log of changes, and an audit log that only grows."""

from alembic import op

revision = "0001"
down_revision = None

TENANTS = """
CREATE TABLE vault.tenants (
  tenant_id uuid PRIMARY KEY,
  provider text NOT NULL,
  external_account text NOT NULL,
  external_tenant_id text NOT NULL DEFAULT '',
  user_id text NOT NULL DEFAULT '',
  address text NOT NULL DEFAULT '',
  display_name text NOT NULL DEFAULT '',
  status text NOT NULL CHECK (status IN
    ('active', 'needs_reauthorization', 'error', 'disabled', 'disconnecting', 'disconnected')),
  status_reason text NOT NULL DEFAULT '',
  status_detail text NOT NULL DEFAULT '',
  status_changed_at timestamptz NOT NULL,
  grant_fault text NOT NULL DEFAULT '',
  probe_at timestamptz,
  probe_failures integer NOT NULL DEFAULT 0,
  address_checked_at timestamptz,
  released_at timestamptz,
  connected_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT tenants_account UNIQUE (provider, external_account)
);
CREATE INDEX tenants_order ON vault.tenants (created_at, tenant_id);
CREATE INDEX tenants_address ON vault.tenants (address);
CREATE INDEX tenants_probe ON vault.tenants (probe_at) WHERE probe_at IS NOT NULL;
CREATE INDEX tenants_disconnecting ON vault.tenants (status_changed_at) WHERE status = 'disconnecting';
"""

CREDENTIALS = """
CREATE TABLE vault.tenant_keys (
  tenant_id uuid PRIMARY KEY REFERENCES vault.tenants,
  data_key_id uuid NOT NULL,
  key_encryption_key_id text NOT NULL,
  wrapped bytea NOT NULL
);
CREATE INDEX tenant_keys_wrapped_by ON vault.tenant_keys (key_encryption_key_id);

CREATE TABLE vault.tenant_tokens (
  tenant_id uuid PRIMARY KEY REFERENCES vault.tenants,
  token_type text NOT NULL CHECK (token_type IN ('app', 'delegated')),
  scopes text[] NOT NULL,
  data_key_id uuid NOT NULL,
  access_token bytea NOT NULL,
  refresh_token bytea NOT NULL,
  expires_at timestamptz NOT NULL,
  refresh_expires_at timestamptz,
  last_refreshed_at timestamptz NOT NULL,
  next_refresh_at timestamptz NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  refresh_owner uuid,
  refresh_until timestamptz,
  refresh_failures integer NOT NULL DEFAULT 0,
  refresh_not_before timestamptz,
  last_refresh_error text NOT NULL DEFAULT ''
);
CREATE INDEX tenant_tokens_due ON vault.tenant_tokens (next_refresh_at);

CREATE TABLE vault.key_encryption_keys (
  key_id text PRIMARY KEY,
  check_value bytea NOT NULL,
  first_seen_at timestamptz NOT NULL
);
CREATE TABLE vault.writing_key (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  key_id text NOT NULL REFERENCES vault.key_encryption_keys
);
CREATE TABLE vault.processes (
  process_id uuid PRIMARY KEY,
  key_ids text[] NOT NULL,
  started_at timestamptz NOT NULL,
  seen_at timestamptz NOT NULL
);
"""

ACCESS = """
CREATE TABLE vault.authorization_flows (
  flow_id uuid PRIMARY KEY,
  provider text NOT NULL,
  tenant_id uuid,
  login_hint text NOT NULL DEFAULT '',
  display_name text NOT NULL DEFAULT '',
  started_by text NOT NULL,
  step text NOT NULL CHECK (step IN ('started', 'opened', 'exchanging', 'connected', 'failed')),
  ticket_digest bytea NOT NULL,
  browser_digest bytea,
  state_digest bytea,
  kept bytea,
  reason text NOT NULL DEFAULT '',
  detail text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  correlation_id text NOT NULL DEFAULT '',
  CONSTRAINT authorization_flows_ticket UNIQUE (ticket_digest),
  CONSTRAINT authorization_flows_state UNIQUE (state_digest)
);
CREATE INDEX authorization_flows_age ON vault.authorization_flows (created_at);

CREATE TABLE vault.api_keys (
  api_key_id uuid PRIMARY KEY,
  display_name text NOT NULL,
  prefix text NOT NULL,
  digest bytea NOT NULL,
  role text NOT NULL CHECK (role IN ('reader', 'operator', 'admin')),
  tenant_ids uuid[] NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz,
  last_used_at timestamptz,
  revoked_at timestamptz,
  created_by text NOT NULL,
  CONSTRAINT api_keys_prefix UNIQUE (prefix)
);
CREATE INDEX api_keys_order ON vault.api_keys (created_at, api_key_id);

CREATE TABLE vault.request_ids (
  owner text NOT NULL,
  request_id uuid NOT NULL,
  digest bytea NOT NULL,
  result_id uuid NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (owner, request_id)
);
CREATE INDEX request_ids_age ON vault.request_ids (created_at);
"""

CHANGES = """
CREATE TABLE vault.change_position (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  position bigint NOT NULL
);
INSERT INTO vault.change_position (position) VALUES (0);

CREATE TABLE vault.tenant_changes (
  position bigint PRIMARY KEY,
  change_id uuid NOT NULL,
  tenant_id uuid NOT NULL,
  tenant bytea NOT NULL,
  previous_status text NOT NULL DEFAULT '',
  changed_at timestamptz NOT NULL,
  correlation_id text NOT NULL DEFAULT '',
  is_reconnected boolean NOT NULL DEFAULT false
);
CREATE INDEX tenant_changes_age ON vault.tenant_changes (changed_at);
"""

# Appending is all that the service's role may do with entries: the rights to change or delete rows are taken from it,
# and a trigger stands behind that. Partitions are made and dropped by functions, which never drop the last 90 days.
AUDIT = """
CREATE TABLE vault.audit_entries (
  occurred_at timestamptz NOT NULL,
  audit_entry_id uuid NOT NULL,
  actor text NOT NULL,
  action text NOT NULL,
  tenant_id uuid,
  outcome text NOT NULL,
  detail jsonb NOT NULL DEFAULT '{}'::jsonb,
  correlation_id text NOT NULL DEFAULT '',
  PRIMARY KEY (occurred_at, audit_entry_id)
) PARTITION BY RANGE (occurred_at);
CREATE INDEX audit_entries_tenant ON vault.audit_entries (tenant_id, occurred_at, audit_entry_id);
CREATE TABLE vault.audit_entries_other PARTITION OF vault.audit_entries DEFAULT;
REVOKE UPDATE, DELETE, TRUNCATE ON vault.audit_entries, vault.audit_entries_other FROM CURRENT_USER;

CREATE FUNCTION vault.refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit log is only ever appended to' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_entries_append_only BEFORE UPDATE OR DELETE ON vault.audit_entries
  FOR EACH ROW EXECUTE FUNCTION vault.refuse_audit_change();
"""

AUDIT_PARTITIONS = """
CREATE FUNCTION vault.extend_audit(months integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = vault, pg_temp AS $$
DECLARE
  first date := date_trunc('month', now() AT TIME ZONE 'UTC');
  name text;
  made integer := 0;
BEGIN
  FOR month IN 0 .. months LOOP
    name := 'audit_entries_' || to_char(first + make_interval(months => month), 'YYYYMM');
    CONTINUE WHEN to_regclass('vault.' || name) IS NOT NULL;
    EXECUTE format(
      'CREATE TABLE vault.%I PARTITION OF vault.audit_entries FOR VALUES FROM (%L) TO (%L)', name,
      to_char(first + make_interval(months => month), 'YYYY-MM-01 00:00:00+00'),
      to_char(first + make_interval(months => month + 1), 'YYYY-MM-01 00:00:00+00'));
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON vault.%I FROM CURRENT_USER', name);
    made := made + 1;
  END LOOP;
  RETURN made;
END $$;

CREATE FUNCTION vault.prune_audit(days integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = vault, pg_temp AS $$
DECLARE
  oldest text := to_char((now() AT TIME ZONE 'UTC') - make_interval(days => greatest(days, 90)), 'YYYYMM');
  name text;
  dropped integer := 0;
BEGIN
  FOR name IN
    SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = 'vault.audit_entries'::regclass AND relname ~ '^audit_entries_[0-9]{6}$'
  LOOP
    CONTINUE WHEN right(name, 6) >= oldest;
    EXECUTE format('DROP TABLE vault.%I', name);
    dropped := dropped + 1;
  END LOOP;
  RETURN dropped;
END $$;
"""


def upgrade() -> None:
    for statements in (TENANTS, CREDENTIALS, ACCESS, CHANGES, AUDIT, AUDIT_PARTITIONS):
        for statement in _split(statements):
            op.execute(statement)
    op.execute("SELECT vault.extend_audit(2)")


def downgrade() -> None:
    op.execute("DROP FUNCTION vault.prune_audit(integer), vault.extend_audit(integer)")
    for table in (
        "audit_entries",
        "tenant_changes", "change_position", "request_ids", "api_keys", "authorization_flows", "processes",
        "writing_key", "key_encryption_keys", "tenant_tokens", "tenant_keys", "tenants",
    ):  # fmt: skip
        op.execute(f"DROP TABLE vault.{table}")
    op.execute("DROP FUNCTION vault.refuse_audit_change()")


def _split(statements: str) -> list[str]:
    """One statement at a time, as asyncpg takes them; the bodies of functions stay whole."""
    parts, inside = [""], False
    for line in statements.splitlines():
        parts[-1] += line + "\n"
        inside ^= line.count("$$") % 2 == 1
        if not inside and line.rstrip().endswith(";"):
            parts.append("")
    return [part for part in parts if part.strip()]
