CREATE FUNCTION vault.extend_audit(months integer) RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path TO 'vault', 'pg_temp'
  AS $$
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
  LANGUAGE plpgsql SECURITY DEFINER
  SET search_path TO 'vault', 'pg_temp'
  AS $_$
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
END $_$;
CREATE FUNCTION vault.refuse_audit_change() RETURNS trigger
  LANGUAGE plpgsql
  AS $$
BEGIN
  RAISE EXCEPTION 'the audit log is only ever appended to' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TABLE vault.alembic_version (
  version_num character varying(32) NOT NULL
);
CREATE TABLE vault.api_keys (
  api_key_id uuid NOT NULL,
  display_name text NOT NULL,
  prefix text NOT NULL,
  digest bytea NOT NULL,
  role text NOT NULL,
  tenant_ids uuid[] NOT NULL,
  created_at timestamp with time zone NOT NULL,
  expires_at timestamp with time zone,
  last_used_at timestamp with time zone,
  revoked_at timestamp with time zone,
  created_by text NOT NULL,
  CONSTRAINT api_keys_role_check CHECK ((role = ANY (ARRAY['reader'::text, 'operator'::text, 'admin'::text])))
);
CREATE TABLE vault.audit_entries (
  occurred_at timestamp with time zone NOT NULL,
  audit_entry_id uuid NOT NULL,
  actor text NOT NULL,
  action text NOT NULL,
  tenant_id uuid,
  outcome text NOT NULL,
  detail jsonb DEFAULT '{}'::jsonb NOT NULL,
  correlation_id text DEFAULT ''::text NOT NULL
)
PARTITION BY RANGE (occurred_at);
CREATE TABLE vault.audit_entries_202611 (
  occurred_at timestamp with time zone CONSTRAINT audit_entries_occurred_at_not_null NOT NULL,
  audit_entry_id uuid CONSTRAINT audit_entries_audit_entry_id_not_null NOT NULL,
  actor text CONSTRAINT audit_entries_actor_not_null NOT NULL,
  action text CONSTRAINT audit_entries_action_not_null NOT NULL,
  tenant_id uuid,
  outcome text CONSTRAINT audit_entries_outcome_not_null NOT NULL,
  detail jsonb DEFAULT '{}'::jsonb CONSTRAINT audit_entries_detail_not_null NOT NULL,
  correlation_id text DEFAULT ''::text CONSTRAINT audit_entries_correlation_id_not_null NOT NULL
);
CREATE TABLE vault.audit_entries_202612 (
  occurred_at timestamp with time zone CONSTRAINT audit_entries_occurred_at_not_null NOT NULL,
  audit_entry_id uuid CONSTRAINT audit_entries_audit_entry_id_not_null NOT NULL,
  actor text CONSTRAINT audit_entries_actor_not_null NOT NULL,
  action text CONSTRAINT audit_entries_action_not_null NOT NULL,
  tenant_id uuid,
  outcome text CONSTRAINT audit_entries_outcome_not_null NOT NULL,
  detail jsonb DEFAULT '{}'::jsonb CONSTRAINT audit_entries_detail_not_null NOT NULL,
  correlation_id text DEFAULT ''::text CONSTRAINT audit_entries_correlation_id_not_null NOT NULL
);
CREATE TABLE vault.audit_entries_202701 (
  occurred_at timestamp with time zone CONSTRAINT audit_entries_occurred_at_not_null NOT NULL,
  audit_entry_id uuid CONSTRAINT audit_entries_audit_entry_id_not_null NOT NULL,
  actor text CONSTRAINT audit_entries_actor_not_null NOT NULL,
  action text CONSTRAINT audit_entries_action_not_null NOT NULL,
  tenant_id uuid,
  outcome text CONSTRAINT audit_entries_outcome_not_null NOT NULL,
  detail jsonb DEFAULT '{}'::jsonb CONSTRAINT audit_entries_detail_not_null NOT NULL,
  correlation_id text DEFAULT ''::text CONSTRAINT audit_entries_correlation_id_not_null NOT NULL
);
CREATE TABLE vault.audit_entries_other (
  occurred_at timestamp with time zone CONSTRAINT audit_entries_occurred_at_not_null NOT NULL,
  audit_entry_id uuid CONSTRAINT audit_entries_audit_entry_id_not_null NOT NULL,
  actor text CONSTRAINT audit_entries_actor_not_null NOT NULL,
  action text CONSTRAINT audit_entries_action_not_null NOT NULL,
  tenant_id uuid,
  outcome text CONSTRAINT audit_entries_outcome_not_null NOT NULL,
  detail jsonb DEFAULT '{}'::jsonb CONSTRAINT audit_entries_detail_not_null NOT NULL,
  correlation_id text DEFAULT ''::text CONSTRAINT audit_entries_correlation_id_not_null NOT NULL
);
CREATE TABLE vault.authorization_flows (
  flow_id uuid NOT NULL,
  provider text NOT NULL,
  tenant_id uuid,
  login_hint text DEFAULT ''::text NOT NULL,
  display_name text DEFAULT ''::text NOT NULL,
  started_by text NOT NULL,
  step text NOT NULL,
  ticket_digest bytea NOT NULL,
  browser_digest bytea,
  state_digest bytea,
  kept bytea,
  reason text DEFAULT ''::text NOT NULL,
  detail text DEFAULT ''::text NOT NULL,
  created_at timestamp with time zone NOT NULL,
  expires_at timestamp with time zone NOT NULL,
  correlation_id text DEFAULT ''::text NOT NULL,
  CONSTRAINT authorization_flows_step_check CHECK ((step = ANY (ARRAY['started'::text, 'opened'::text, 'exchanging'::text, 'connected'::text, 'failed'::text])))
);
CREATE TABLE vault.change_position (
  is_only boolean DEFAULT true NOT NULL,
  "position" bigint NOT NULL,
  CONSTRAINT change_position_is_only_check CHECK (is_only)
);
CREATE TABLE vault.key_encryption_keys (
  key_id text NOT NULL,
  check_value bytea NOT NULL,
  first_seen_at timestamp with time zone NOT NULL
);
CREATE TABLE vault.processes (
  process_id uuid NOT NULL,
  key_ids text[] NOT NULL,
  started_at timestamp with time zone NOT NULL,
  seen_at timestamp with time zone NOT NULL
);
CREATE TABLE vault.request_ids (
  owner text NOT NULL,
  request_id uuid NOT NULL,
  digest bytea NOT NULL,
  result_id uuid NOT NULL,
  created_at timestamp with time zone NOT NULL
);
CREATE TABLE vault.tenant_changes (
  "position" bigint NOT NULL,
  change_id uuid NOT NULL,
  tenant_id uuid NOT NULL,
  tenant bytea NOT NULL,
  previous_status text DEFAULT ''::text NOT NULL,
  changed_at timestamp with time zone NOT NULL,
  correlation_id text DEFAULT ''::text NOT NULL,
  is_reconnected boolean DEFAULT false NOT NULL
);
CREATE TABLE vault.tenant_keys (
  tenant_id uuid NOT NULL,
  data_key_id uuid NOT NULL,
  key_encryption_key_id text NOT NULL,
  wrapped bytea NOT NULL
);
CREATE TABLE vault.tenant_tokens (
  tenant_id uuid NOT NULL,
  token_type text NOT NULL,
  scopes text[] NOT NULL,
  data_key_id uuid NOT NULL,
  access_token bytea NOT NULL,
  refresh_token bytea NOT NULL,
  expires_at timestamp with time zone NOT NULL,
  refresh_expires_at timestamp with time zone,
  last_refreshed_at timestamp with time zone NOT NULL,
  next_refresh_at timestamp with time zone NOT NULL,
  version bigint DEFAULT 1 NOT NULL,
  refresh_owner uuid,
  refresh_until timestamp with time zone,
  refresh_failures integer DEFAULT 0 NOT NULL,
  refresh_not_before timestamp with time zone,
  last_refresh_error text DEFAULT ''::text NOT NULL,
  CONSTRAINT tenant_tokens_token_type_check CHECK ((token_type = ANY (ARRAY['app'::text, 'delegated'::text])))
);
CREATE TABLE vault.tenants (
  tenant_id uuid NOT NULL,
  provider text NOT NULL,
  external_account text NOT NULL,
  external_tenant_id text DEFAULT ''::text NOT NULL,
  user_id text DEFAULT ''::text NOT NULL,
  address text DEFAULT ''::text NOT NULL,
  display_name text DEFAULT ''::text NOT NULL,
  status text NOT NULL,
  status_reason text DEFAULT ''::text NOT NULL,
  status_detail text DEFAULT ''::text NOT NULL,
  status_changed_at timestamp with time zone NOT NULL,
  grant_fault text DEFAULT ''::text NOT NULL,
  probe_at timestamp with time zone,
  probe_failures integer DEFAULT 0 NOT NULL,
  address_checked_at timestamp with time zone,
  released_at timestamp with time zone,
  connected_at timestamp with time zone NOT NULL,
  created_at timestamp with time zone NOT NULL,
  updated_at timestamp with time zone NOT NULL,
  CONSTRAINT tenants_status_check CHECK ((status = ANY (ARRAY['active'::text, 'needs_reauthorization'::text, 'error'::text, 'disabled'::text, 'disconnecting'::text, 'disconnected'::text])))
);
CREATE TABLE vault.writing_key (
  is_only boolean DEFAULT true NOT NULL,
  key_id text NOT NULL,
  CONSTRAINT writing_key_is_only_check CHECK (is_only)
);
ALTER TABLE ONLY vault.audit_entries ATTACH PARTITION vault.audit_entries_202611 FOR VALUES FROM ('2026-11-01 00:00:00+00') TO ('2026-12-01 00:00:00+00');
ALTER TABLE ONLY vault.audit_entries ATTACH PARTITION vault.audit_entries_202612 FOR VALUES FROM ('2026-12-01 00:00:00+00') TO ('2027-01-01 00:00:00+00');
ALTER TABLE ONLY vault.audit_entries ATTACH PARTITION vault.audit_entries_202701 FOR VALUES FROM ('2027-01-01 00:00:00+00') TO ('2027-02-01 00:00:00+00');
ALTER TABLE ONLY vault.audit_entries ATTACH PARTITION vault.audit_entries_other DEFAULT;
INSERT INTO vault.alembic_version VALUES ('0001');
INSERT INTO vault.api_keys VALUES ('01a21da1-a3bb-7332-9062-df6d124cdfa6', 'reader of one tenant', '3WEaQVH91t', '\x13ef4c32a60ccd78181e77d2fcdf5bb10a1fc2a9af809cbfd2173221830cfbf2', 'reader', '{01a21da1-919d-7262-8d05-264763f174f4}', '2026-11-27 15:31:02.01135+00', NULL, NULL, NULL, '01a21da0-9df5-7b58-8211-3723fec06903');
INSERT INTO vault.api_keys VALUES ('01a21da0-9df5-7b58-8211-3723fec06903', 'mailmesh up', 'y1iWgnExa4', '\x8bc88cd36fbe5542817f998b30130d3f87f748a18d80cbbeb3cde52a014382c9', 'admin', '{}', '2026-11-27 15:29:55.189576+00', NULL, '2026-11-27 15:31:05.27183+00', NULL, 'command');
INSERT INTO vault.audit_entries_202611 VALUES ('2026-11-27 15:29:55.189576+00', '01a21da0-9e67-7a1e-8eab-dbe74c4b6e33', 'command', 'api_key.create', NULL, 'ok', '{"role": "admin", "tenants": "all", "api_key_id": "01a21da0-9df5-7b58-8211-3723fec06903"}', '');
INSERT INTO vault.audit_entries_202611 VALUES ('2026-11-27 15:30:56.141182+00', '01a21da1-8c1c-7d3f-a70e-01740dc0df58', 'key:01a21da0-9df5-7b58-8211-3723fec06903', 'authorization.start', NULL, 'ok', '{"flow_id": "01a21da1-8c0d-7309-a5ae-65694f1dc93d", "provider": "ms365"}', '5a5e49d2-c78c-4c92-9464-7000f13ab8b8');
INSERT INTO vault.audit_entries_202611 VALUES ('2026-11-27 15:30:57.527027+00', '01a21da1-92ab-77a0-9ac8-cde2b6100038', 'browser:01a21da1-8c0d-7309-a5ae-65694f1dc93d', 'tenant.connect', '01a21da1-919d-7262-8d05-264763f174f4', 'ok', '{"scopes": "Mail.Read User.Read email openid profile", "flow_id": "01a21da1-8c0d-7309-a5ae-65694f1dc93d", "started_by": "key:01a21da0-9df5-7b58-8211-3723fec06903"}', '73906a6e-28fe-40d1-a609-23ed24196d71');
INSERT INTO vault.audit_entries_202611 VALUES ('2026-11-27 15:30:58.275464+00', '01a21da1-9466-72c4-8a8d-39a9be624346', 'key:01a21da0-9df5-7b58-8211-3723fec06903', 'authorization.start', NULL, 'ok', '{"flow_id": "01a21da1-9463-777d-a67d-0724b231dd47", "provider": "googlews"}', '27444e53-c399-4a53-9d03-40e00291d682');
INSERT INTO vault.audit_entries_202611 VALUES ('2026-11-27 15:30:59.203458+00', '01a21da1-98d6-78ae-b1b7-a704bd019296', 'browser:01a21da1-9463-777d-a67d-0724b231dd47', 'tenant.connect', '01a21da1-9825-78a1-89c4-d1d7b9881283', 'ok', '{"scopes": "https://www.googleapis.com/auth/gmail.readonly https://www.googleapis.com/auth/userinfo.email openid", "flow_id": "01a21da1-9463-777d-a67d-0724b231dd47", "started_by": "key:01a21da0-9df5-7b58-8211-3723fec06903"}', 'd89207ea-e15b-4e3c-a8e9-3e3a1e171781');
INSERT INTO vault.audit_entries_202611 VALUES ('2026-11-27 15:31:00.739201+00', '01a21da1-9e03-7375-a3c3-3cded2638b0f', 'mesh:ingest', 'token.issue', '01a21da1-919d-7262-8d05-264763f174f4', 'ok', '{}', '359273a5-a3d7-4d28-af82-2ac02dfe7ee5');
INSERT INTO vault.audit_entries_202611 VALUES ('2026-11-27 15:31:00.881177+00', '01a21da1-9e91-7309-bb42-a6a160513113', 'mesh:ingest', 'token.issue', '01a21da1-919d-7262-8d05-264763f174f4', 'ok', '{}', '359273a5-a3d7-4d28-af82-2ac02dfe7ee5');
INSERT INTO vault.audit_entries_202611 VALUES ('2026-11-27 15:31:00.910239+00', '01a21da1-9eae-7401-8f79-6695a90263ca', 'mesh:ingest', 'token.issue', '01a21da1-919d-7262-8d05-264763f174f4', 'ok', '{}', '359273a5-a3d7-4d28-af82-2ac02dfe7ee5');
INSERT INTO vault.audit_entries_202611 VALUES ('2026-11-27 15:31:01.366016+00', '01a21da1-a076-7079-a14e-b3bab7564faa', 'mesh:ingest', 'token.issue', '01a21da1-9825-78a1-89c4-d1d7b9881283', 'ok', '{}', '69ce7845-0dfb-47d0-8c67-9fce0081a674');
INSERT INTO vault.audit_entries_202611 VALUES ('2026-11-27 15:31:01.464446+00', '01a21da1-a0d8-7748-b075-7e13d07cc41e', 'mesh:processor', 'token.issue', '01a21da1-919d-7262-8d05-264763f174f4', 'ok', '{}', '359273a5-a3d7-4d28-af82-2ac02dfe7ee5');
INSERT INTO vault.audit_entries_202611 VALUES ('2026-11-27 15:31:01.586373+00', '01a21da1-a152-762f-b39a-901cfc896c51', 'mesh:ingest', 'token.issue', '01a21da1-9825-78a1-89c4-d1d7b9881283', 'ok', '{}', '69ce7845-0dfb-47d0-8c67-9fce0081a674');
INSERT INTO vault.audit_entries_202611 VALUES ('2026-11-27 15:31:02.01135+00', '01a21da1-a44b-751d-ab1a-49df220ccde5', 'key:01a21da0-9df5-7b58-8211-3723fec06903', 'api_key.create', NULL, 'ok', '{"role": "reader", "tenants": "1", "api_key_id": "01a21da1-a3bb-7332-9062-df6d124cdfa6"}', 'e98cf3a2-966c-4990-9a0f-629093a22c72');
INSERT INTO vault.audit_entries_202611 VALUES ('2026-11-27 15:31:02.383583+00', '01a21da1-a46f-7981-931d-93cea83ff481', 'mesh:processor', 'token.issue', '01a21da1-9825-78a1-89c4-d1d7b9881283', 'ok', '{}', '69ce7845-0dfb-47d0-8c67-9fce0081a674');
INSERT INTO vault.authorization_flows VALUES ('01a21da1-8c0d-7309-a5ae-65694f1dc93d', 'ms365', '01a21da1-919d-7262-8d05-264763f174f4', 'anna@contoso.test', '', 'key:01a21da0-9df5-7b58-8211-3723fec06903', 'connected', '\xb095805eca7a92de326b0a13f829bb9d76292b81b285af65e44627dbabee1584', '\x0efbf08c3227310ee0f87718d403834d9cb27df0fe69e4fd0aa2c0b95f82afdd', '\x54f2a8cb7711c075b5ad59b62bba544f70a0bbb1fb4149b275f5c27e151ad261', NULL, '', '', '2026-11-27 15:30:56.141182+00', '2026-11-27 15:40:56.509557+00', '5a5e49d2-c78c-4c92-9464-7000f13ab8b8');
INSERT INTO vault.authorization_flows VALUES ('01a21da1-9463-777d-a67d-0724b231dd47', 'googlews', '01a21da1-9825-78a1-89c4-d1d7b9881283', 'carla@fabrikam.test', '', 'key:01a21da0-9df5-7b58-8211-3723fec06903', 'connected', '\xb0ff043c0321fc83c5adaae3eb24448acefb0f475b0294190c3d0221cf9b349f', '\xda1bd27ea833c8465600e67ae70d4a8560b1113ac0a12caf58bdb3ee34e72407', '\xa7993ec7c5e958ac500ca63a470e169ec82cd206e5c3d3ca254815967f99d6aa', NULL, '', '', '2026-11-27 15:30:58.275464+00', '2026-11-27 15:40:58.517879+00', '27444e53-c399-4a53-9d03-40e00291d682');
INSERT INTO vault.change_position VALUES (true, 2);
INSERT INTO vault.key_encryption_keys VALUES ('2026-11-27', '\x0175069c5ac3e6d227cdd376d021da9fb9863e598f3f0ac297bb0501a0650db1904781682dfd179915587e1f3015197bee1b1ecf0c', '2026-11-27 15:26:52.832829+00');
INSERT INTO vault.processes VALUES ('01a21da0-2209-76ab-8bea-3ce3b51b522e', '{2026-11-27}', '2026-11-27 15:29:23.679016+00', '2026-11-27 15:31:41.92214+00');
INSERT INTO vault.tenant_changes VALUES (1, '01a21da1-924a-7f60-9fde-421650b9a8c0', '01a21da1-919d-7262-8d05-264763f174f4', '\x0a2430316132316461312d393139642d373236322d386430352d32363437363366313734663412056d733336351a2431323038353635332d373337642d346465352d623262312d616339626332346638373239222430323938613534362d303634622d343364302d393133332d3338663939653231623032392a11616e6e6140636f6e746f736f2e746573743204416e6e613801520c08b1c4a6d80610b896a7fb015a094d61696c2e526561645a09557365722e526561645a05656d61696c5a066f70656e69645a0770726f66696c65620c08b1c4a6d80610b896a7fb016a0c08b1c4a6d80610b896a7fb01720c0894daa6d80610f8eea5d7037a0b08c0e0a6d80610e8dcf43f8a010c08b1c4a6d80610b896a7fb0192010c08b1c4a6d80610b896a7fb01', '', '2026-11-27 15:30:57.527027+00', '73906a6e-28fe-40d1-a609-23ed24196d71', false);
INSERT INTO vault.tenant_changes VALUES (2, '01a21da1-98c1-76b6-ba73-3e58d99bd489', '01a21da1-9825-78a1-89c4-d1d7b9881283', '\x0a2430316132316461312d393832352d373861312d383963342d6431643762393838313238331208676f6f676c6577731a0d66616272696b616d2e7465737422153132373534333738353632333136313936393836302a136361726c614066616272696b616d2e7465737432136361726c614066616272696b616d2e746573743801520b08b3c4a6d80610d08b82615a2e68747470733a2f2f7777772e676f6f676c65617069732e636f6d2f617574682f676d61696c2e726561646f6e6c795a2e68747470733a2f2f7777772e676f6f676c65617069732e636f6d2f617574682f75736572696e666f2e656d61696c5a066f70656e6964620b08b3c4a6d80610d08b82616a0b08b3c4a6d80610d08b8261720b08a2daa6d8061090bdfc1e7a0b08c2e0a6d80610f0f9f8238a010b08b3c4a6d80610d08b826192010b08b3c4a6d80610d08b8261', '', '2026-11-27 15:30:59.203458+00', 'd89207ea-e15b-4e3c-a8e9-3e3a1e171781', false);
INSERT INTO vault.tenant_keys VALUES ('01a21da1-919d-7262-8d05-264763f174f4', '01a21da1-91c9-7473-82ff-d9fc46707d42', '2026-11-27', '\x010bb9f6227fac4e68811acff6bae3c21da396ee0b48e8c2108c013de8f681dde07715ea3d457140a5ba5aa603daf1f2e98f04944d6fe80762baa38f00');
INSERT INTO vault.tenant_keys VALUES ('01a21da1-9825-78a1-89c4-d1d7b9881283', '01a21da1-985c-7b2e-b8e4-a8acc4ee22c4', '2026-11-27', '\x01b50a695e65efe4f4e922d824e5861f0a7b9fc0acacc527ffc54ca90efadee30dc882121a5c15f2bdbe9cbf94e062a0024c276f44a3bdb0b969cd7f1c');
INSERT INTO vault.tenant_tokens VALUES ('01a21da1-919d-7262-8d05-264763f174f4', 'delegated', '{Mail.Read,User.Read,email,openid,profile}', '01a21da1-91c9-7473-82ff-d9fc46707d42', '\x01bd44d572b8c2bad57829987f12bd214cfcfc6b48bb29098e3b32580b23eaf93e10832cab39d5cfdb9074c0dc2e50a618595757004a27da525c82ee2904ec8f6a4f788c5827de82953b3dc511f5a8a428930ae7cd607b1bbce811082f4554cd442a392a18b7df6a9371ebd9e0913cb3f12a151be8863a3dedad038f71be52815b7872cbf4f16ad18572a95cfe87023dd6703d6f9791ca7ced7813c260b0f42aff02a09f40000029ee26001782ce947e94f5e7147d087fdc9503a295c4fc3a8cd76e2ee15b2cf04a64d7489f318d75727d2ce73f967d708859e901918e5035068f7af67eeda553860dc3ab6686bc2e9d6655f360bc275ceccdfe46096db0c4862e1fab112c05c39e00a601ceba956def7d2dbfdd83824abe012e8e05691ed19676bc0c28cd4ddcf9261bce7360c575bb8ab18d078d628a7bfa06eba056121a7dea1260a8bdb5b20f0c08798cc414013251029f8ba45b8f757aabd77d20200fc5081b78a3ff59a2606fc156f7e5614e298cf70d4d491d07cd7d2c19c3f78f374c730ba4bf7798a116eced12092f9f5c17361e9ccf9d63114d91ec6c9cc8ac9b1e2b845851a5a5225f28ca50057aee2c09d73a82842c13846c77057bb9d62e5a5a7426ebd21328c74b23b48d87893f9d43bb6ebe7ce6b9c6f6f42adbe7993e22e2e328a5428e9394991fea8d91cc4813de6bfb71559e459c8cacbceebbdfe18abdd71f66a85881d206dc6ea67e6d629e904e6f5b6e082307be7770da61fb846570e3b5304663287a682785570d54adacf0828f3090d761365fa6a98297dd98e24917338f48337fa75cdd52d01b819349cd23bfd0239c23173382a2447eca5d69f1c3374cace22794f8769fae788053121696b4935c685c43d4e15c86005a4dde4d7f66a150f3eec141b03e9c440a760d2f2bc1dcb36a724296314beb8f5ca507bed3e5f642850d83b95bebd089a268ed896d9306c1235d56fcad8af48e0d0784e13f2751b8a1f6aa093df77da39cd8f8cb05ffdfd6969f15ffb446bd4745115a55ed8045aef28679400a7e4da012808d7fae6f6484fb8f34f2f78ce545dd7989c7a9180dd1f6b015721c9351b39682b43441586c342281c8eac4dc9cabc9205b699d5dd0b8fb7b4dcc3f3e8fbe81b44b07e1dcfa463b5af2', '\x015f3da899a6b216b693b90f58ba724f1ea5d4ebc4c479e86f3b4ec2afedd84df477cfa2e65d4cedb6fcaf731849cc3882604e59fa89f21ce448267095c703a5e7e11e4c2654294f4889ce3d23d5d42d12a1a90d1096681e07637851949274fa09c7e273e75c40e46214bd87bd8c027cc697d290ce50074ec74dab598dc8e3409ca31eedadfd65c44663454c72cb74e5a227f1136c036080750a31ee70025ad76985bf8bae99abcca094db3a49e0bda4cb624cd40bf23ab4be8443500f1d2ce237cd55b46c31ee45ede5359e82c62671a8850f4877ca7ccaadae94d88e41e82d8da160a45aed9d0c0137e99097fa19241895842d9e0e2aee4301da30d30784d51e643022afead80cea4dfecda86f85c5011f84c1f47a4c59ae6c8b8b40d7ad402557545addca4ee3216c23d98284c876c58c5ba08674335779ae64150c460bc543d629d0ccc6441587a74e07959d1c06f86cb1024e1fca56d8bd5e81a927c73220e366bedeb2fd96c69e4793faa638473e0354f6e9d4b6901f15f763776ad1bccf0f8a3117bdd306c35da56f96be7765ca8fc4b64f921ad79db62ffaf925c0153f8b58473bf63bed869245cd2071a4f463eef4e525db33407326676887c96bbf7a93896b45e017ba6f4f58f334c378a8bec630618e4ccd4e631500ae4472da02ef788addf9c5a2ec67705c7ffab8aaf714cf4ce0dfc322b385ea0026b0b545a1a93055cd04cb288876134467b197924fb666a737ccabe3191f39251f625a0574515060a6f3ebf58f15ecf3e9c71180f14d733472993d21861c808c1c977f7419abd5a918e0d9c888b28438ff85d883eedd1d3979ff3a3f12a538f0b764914fbd09a25150648253db34638e9e9dcad4a69a51877d13fbedf3e327d3e3626fdd6a4398798026a4be121748faf374489eb49fcf43ef7aabcf49807f2893c2e0aeac6910d578dd002d430d9f9ea493dcbeb94f4b69882375202e41bcedd5f5610c800f3a4bcc5d174d193b2c20f6f643f3604ec4c8390c2e0d7c029212c7fb3250a16f741f02cb9c59b071b9ee26e58346fa13b0ba930b39ab4654f8ea554d4c46e9e10644c0f38539dac007e46f52ab4adbd7b37390ce9c0699cc8172525dca264673ba5eff53f7b232f84213abdd6736ad465b9409634ffc2d467c323b1ee4ed147b3a0c', '2026-11-27 16:30:56.134033+00', NULL, '2026-11-27 15:30:57.527027+00', '2026-11-27 16:17:24.988379+00', 1, NULL, NULL, 0, NULL, '');
INSERT INTO vault.tenant_tokens VALUES ('01a21da1-9825-78a1-89c4-d1d7b9881283', 'delegated', '{https://www.googleapis.com/auth/gmail.readonly,https://www.googleapis.com/auth/userinfo.email,openid}', '01a21da1-985c-7b2e-b8e4-a8acc4ee22c4', '\x013d7e098ac06a462fd60d03315b2ea974b28914c2779de58ce9cdc46049f28067a5f90b20915d0a0cb7762f8aab807b8cf3789449cce44c37fad6f3ed955ebceb89d375c0bcbff70b36df78b081d75c6481dcc3ffd2ea94fe8e9ad9ffef85289aa68ad1a32b644817cb32d8483ecf21fa22357b95c74faf2a649856d25ba376aa0ee62c1858be4a97ba2b154c136b2c0faa926899ca9a925fb1ed58312e70a52e6963aa2d7b662146acce505bb18cd4190fbf31a36825550dafd5bfb5a237b565d0ea68e3156f8e2acfd129135677ce6df53fd10769d229a2792f749351a9c99c1a11a937ad61960e2934f3e0166e8ae1b77c8bdfb43851c2fed2', '\x013c2da81bdf8f33c5d7e6d11bdf25737679673da0b9871239be97f932e298f8541ac7f37fe8ba11898083574278f389ca3abae47483279ba4a0aa270f86c35104807e5195e8c6c50630e4606bb172f9ddc97f44e19201173e9ee73d0bce1d458a1b01033a6f7a41fad16c650fd914d330ae41ad07c131afdc9ff5009920775f', '2026-11-27 16:30:58.075382+00', NULL, '2026-11-27 15:30:59.203458+00', '2026-11-27 16:17:38.064954+00', 1, NULL, NULL, 0, NULL, '');
INSERT INTO vault.tenants VALUES ('01a21da1-919d-7262-8d05-264763f174f4', 'ms365', '12085653-737d-4de5-b2b1-ac9bc24f8729.0298a546-064b-43d0-9133-38f99e21b029', '12085653-737d-4de5-b2b1-ac9bc24f8729', '0298a546-064b-43d0-9133-38f99e21b029', 'anna@contoso.test', 'Anna', 'active', '', '', '2026-11-27 15:30:57.527027+00', '', NULL, 0, NULL, NULL, '2026-11-27 15:30:57.527027+00', '2026-11-27 15:30:57.527027+00', '2026-11-27 15:30:57.527027+00');
INSERT INTO vault.tenants VALUES ('01a21da1-9825-78a1-89c4-d1d7b9881283', 'googlews', '127543785623161969860', 'fabrikam.test', '127543785623161969860', 'carla@fabrikam.test', 'carla@fabrikam.test', 'active', '', '', '2026-11-27 15:30:59.203458+00', '', NULL, 0, NULL, NULL, '2026-11-27 15:30:59.203458+00', '2026-11-27 15:30:59.203458+00', '2026-11-27 15:30:59.203458+00');
INSERT INTO vault.writing_key VALUES (true, '2026-11-27');
ALTER TABLE ONLY vault.alembic_version
  ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY vault.api_keys
  ADD CONSTRAINT api_keys_pkey PRIMARY KEY (api_key_id);
ALTER TABLE ONLY vault.api_keys
  ADD CONSTRAINT api_keys_prefix UNIQUE (prefix);
ALTER TABLE ONLY vault.audit_entries
  ADD CONSTRAINT audit_entries_pkey PRIMARY KEY (occurred_at, audit_entry_id);
ALTER TABLE ONLY vault.audit_entries_202611
  ADD CONSTRAINT audit_entries_202611_pkey PRIMARY KEY (occurred_at, audit_entry_id);
ALTER TABLE ONLY vault.audit_entries_202612
  ADD CONSTRAINT audit_entries_202612_pkey PRIMARY KEY (occurred_at, audit_entry_id);
ALTER TABLE ONLY vault.audit_entries_202701
  ADD CONSTRAINT audit_entries_202701_pkey PRIMARY KEY (occurred_at, audit_entry_id);
ALTER TABLE ONLY vault.audit_entries_other
  ADD CONSTRAINT audit_entries_other_pkey PRIMARY KEY (occurred_at, audit_entry_id);
ALTER TABLE ONLY vault.authorization_flows
  ADD CONSTRAINT authorization_flows_pkey PRIMARY KEY (flow_id);
ALTER TABLE ONLY vault.authorization_flows
  ADD CONSTRAINT authorization_flows_state UNIQUE (state_digest);
ALTER TABLE ONLY vault.authorization_flows
  ADD CONSTRAINT authorization_flows_ticket UNIQUE (ticket_digest);
ALTER TABLE ONLY vault.change_position
  ADD CONSTRAINT change_position_pkey PRIMARY KEY (is_only);
ALTER TABLE ONLY vault.key_encryption_keys
  ADD CONSTRAINT key_encryption_keys_pkey PRIMARY KEY (key_id);
ALTER TABLE ONLY vault.processes
  ADD CONSTRAINT processes_pkey PRIMARY KEY (process_id);
ALTER TABLE ONLY vault.request_ids
  ADD CONSTRAINT request_ids_pkey PRIMARY KEY (owner, request_id);
ALTER TABLE ONLY vault.tenant_changes
  ADD CONSTRAINT tenant_changes_pkey PRIMARY KEY ("position");
ALTER TABLE ONLY vault.tenant_keys
  ADD CONSTRAINT tenant_keys_pkey PRIMARY KEY (tenant_id);
ALTER TABLE ONLY vault.tenant_tokens
  ADD CONSTRAINT tenant_tokens_pkey PRIMARY KEY (tenant_id);
ALTER TABLE ONLY vault.tenants
  ADD CONSTRAINT tenants_account UNIQUE (provider, external_account);
ALTER TABLE ONLY vault.tenants
  ADD CONSTRAINT tenants_pkey PRIMARY KEY (tenant_id);
ALTER TABLE ONLY vault.writing_key
  ADD CONSTRAINT writing_key_pkey PRIMARY KEY (is_only);
CREATE INDEX api_keys_order ON vault.api_keys USING btree (created_at, api_key_id);
CREATE INDEX audit_entries_tenant ON ONLY vault.audit_entries USING btree (tenant_id, occurred_at, audit_entry_id);
CREATE INDEX audit_entries_202611_tenant_id_occurred_at_audit_entry_id_idx ON vault.audit_entries_202611 USING btree (tenant_id, occurred_at, audit_entry_id);
CREATE INDEX audit_entries_202612_tenant_id_occurred_at_audit_entry_id_idx ON vault.audit_entries_202612 USING btree (tenant_id, occurred_at, audit_entry_id);
CREATE INDEX audit_entries_202701_tenant_id_occurred_at_audit_entry_id_idx ON vault.audit_entries_202701 USING btree (tenant_id, occurred_at, audit_entry_id);
CREATE INDEX audit_entries_other_tenant_id_occurred_at_audit_entry_id_idx ON vault.audit_entries_other USING btree (tenant_id, occurred_at, audit_entry_id);
CREATE INDEX authorization_flows_age ON vault.authorization_flows USING btree (created_at);
CREATE INDEX request_ids_age ON vault.request_ids USING btree (created_at);
CREATE INDEX tenant_changes_age ON vault.tenant_changes USING btree (changed_at);
CREATE INDEX tenant_keys_wrapped_by ON vault.tenant_keys USING btree (key_encryption_key_id);
CREATE INDEX tenant_tokens_due ON vault.tenant_tokens USING btree (next_refresh_at);
CREATE INDEX tenants_address ON vault.tenants USING btree (address);
CREATE INDEX tenants_disconnecting ON vault.tenants USING btree (status_changed_at) WHERE (status = 'disconnecting'::text);
CREATE INDEX tenants_order ON vault.tenants USING btree (created_at, tenant_id);
CREATE INDEX tenants_probe ON vault.tenants USING btree (probe_at) WHERE (probe_at IS NOT NULL);
ALTER INDEX vault.audit_entries_pkey ATTACH PARTITION vault.audit_entries_202611_pkey;
ALTER INDEX vault.audit_entries_tenant ATTACH PARTITION vault.audit_entries_202611_tenant_id_occurred_at_audit_entry_id_idx;
ALTER INDEX vault.audit_entries_pkey ATTACH PARTITION vault.audit_entries_202612_pkey;
ALTER INDEX vault.audit_entries_tenant ATTACH PARTITION vault.audit_entries_202612_tenant_id_occurred_at_audit_entry_id_idx;
ALTER INDEX vault.audit_entries_pkey ATTACH PARTITION vault.audit_entries_202701_pkey;
ALTER INDEX vault.audit_entries_tenant ATTACH PARTITION vault.audit_entries_202701_tenant_id_occurred_at_audit_entry_id_idx;
ALTER INDEX vault.audit_entries_pkey ATTACH PARTITION vault.audit_entries_other_pkey;
ALTER INDEX vault.audit_entries_tenant ATTACH PARTITION vault.audit_entries_other_tenant_id_occurred_at_audit_entry_id_idx;
CREATE TRIGGER audit_entries_append_only BEFORE DELETE OR UPDATE ON vault.audit_entries FOR EACH ROW EXECUTE FUNCTION vault.refuse_audit_change();
ALTER TABLE ONLY vault.tenant_keys
  ADD CONSTRAINT tenant_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES vault.tenants(tenant_id);
ALTER TABLE ONLY vault.tenant_tokens
  ADD CONSTRAINT tenant_tokens_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES vault.tenants(tenant_id);
ALTER TABLE ONLY vault.writing_key
  ADD CONSTRAINT writing_key_key_id_fkey FOREIGN KEY (key_id) REFERENCES vault.key_encryption_keys(key_id);
