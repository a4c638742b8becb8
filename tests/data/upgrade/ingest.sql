CREATE TABLE ingest.alembic_version (
  version_num character varying(32) NOT NULL
);
CREATE TABLE ingest.cursors (
  name text NOT NULL,
  cursor text NOT NULL,
  updated_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE ingest.dead_letters (
  dead_letter_id uuid NOT NULL,
  tenant_id uuid NOT NULL,
  item_id uuid NOT NULL,
  kind smallint NOT NULL,
  received_at timestamp with time zone NOT NULL,
  content bytea NOT NULL,
  correlation_id uuid NOT NULL,
  traceparent text DEFAULT ''::text NOT NULL,
  attempts integer NOT NULL,
  history jsonb NOT NULL,
  reason text NOT NULL,
  detail text NOT NULL,
  buried_at timestamp with time zone NOT NULL,
  retried_at timestamp with time zone
);
CREATE TABLE ingest.item_keys (
  key uuid NOT NULL,
  seen_at timestamp with time zone NOT NULL
)
WITH (autovacuum_vacuum_insert_scale_factor='0.5');
CREATE TABLE ingest.items (
  tenant_id uuid NOT NULL,
  item_id uuid NOT NULL,
  kind smallint NOT NULL,
  received_at timestamp with time zone NOT NULL,
  due_at timestamp with time zone,
  content bytea NOT NULL,
  correlation_id uuid NOT NULL,
  traceparent text DEFAULT ''::text NOT NULL,
  attempts integer DEFAULT 0 NOT NULL,
  expiries integer DEFAULT 0 NOT NULL,
  history jsonb DEFAULT '[]'::jsonb NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='5000');
CREATE TABLE ingest.lifecycle_notifications (
  lifecycle_id uuid NOT NULL,
  subscription_id uuid NOT NULL,
  tenant_id uuid NOT NULL,
  event text NOT NULL,
  received_at timestamp with time zone NOT NULL,
  due_at timestamp with time zone NOT NULL,
  correlation_id uuid NOT NULL,
  traceparent text DEFAULT ''::text NOT NULL,
  attempts integer DEFAULT 0 NOT NULL,
  lease_until timestamp with time zone,
  failure_reason text DEFAULT ''::text NOT NULL,
  worked_at timestamp with time zone
);
CREATE TABLE ingest.mailboxes (
  tenant_id uuid NOT NULL,
  fence bigint DEFAULT 0 NOT NULL,
  next_due_at timestamp with time zone,
  is_waiting boolean DEFAULT false NOT NULL,
  holder text DEFAULT ''::text NOT NULL,
  leased_at timestamp with time zone,
  lease_until timestamp with time zone,
  out_item_ids uuid[] DEFAULT '{}'::uuid[] NOT NULL,
  last_notification_at timestamp with time zone,
  gap_since timestamp with time zone
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_threshold='1000');
CREATE TABLE ingest.refusals (
  minute timestamp with time zone NOT NULL,
  notifications bigint NOT NULL,
  is_answered boolean DEFAULT false NOT NULL
);
CREATE TABLE ingest.subscriptions (
  subscription_id uuid NOT NULL,
  tenant_id uuid NOT NULL,
  provider text NOT NULL,
  state smallint NOT NULL,
  folder_id text DEFAULT ''::text NOT NULL,
  label_ids text[] DEFAULT '{}'::text[] NOT NULL,
  change_types text[] NOT NULL,
  watched text NOT NULL,
  delivery_mode smallint NOT NULL,
  provider_subscription_id text,
  client_state_digest bytea,
  previous_client_state_digest bytea,
  history_id numeric(20,0),
  expires_at timestamp with time zone,
  renew_at timestamp with time zone,
  last_notification_at timestamp with time zone,
  last_renewed_at timestamp with time zone,
  silence_noted_at timestamp with time zone,
  failure_reason text DEFAULT ''::text NOT NULL,
  failure_detail text DEFAULT ''::text NOT NULL,
  failures integer DEFAULT 0 NOT NULL,
  reconcile_reason smallint,
  lease_holder text DEFAULT ''::text NOT NULL,
  lease_until timestamp with time zone,
  lease_fence bigint DEFAULT 0 NOT NULL,
  covered_from timestamp with time zone NOT NULL,
  created_at timestamp with time zone DEFAULT now() NOT NULL,
  updated_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE ingest.tenants (
  tenant_id uuid NOT NULL,
  provider text NOT NULL,
  external_tenant_id text NOT NULL,
  user_id text NOT NULL,
  address text NOT NULL,
  status smallint NOT NULL,
  granted_scopes text[] DEFAULT '{}'::text[] NOT NULL,
  is_release_due boolean DEFAULT false NOT NULL,
  created_at timestamp with time zone DEFAULT now() NOT NULL,
  updated_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE ingest.worked_items (
  tenant_id uuid NOT NULL,
  item_id uuid NOT NULL,
  kind smallint NOT NULL,
  received_at timestamp with time zone NOT NULL,
  worked_at timestamp with time zone NOT NULL,
  outcome text NOT NULL,
  attempts integer NOT NULL,
  content bytea NOT NULL,
  correlation_id uuid NOT NULL
)
PARTITION BY RANGE (worked_at);
CREATE TABLE ingest.worked_items_20261127 (
  tenant_id uuid CONSTRAINT worked_items_tenant_id_not_null NOT NULL,
  item_id uuid CONSTRAINT worked_items_item_id_not_null NOT NULL,
  kind smallint CONSTRAINT worked_items_kind_not_null NOT NULL,
  received_at timestamp with time zone CONSTRAINT worked_items_received_at_not_null NOT NULL,
  worked_at timestamp with time zone CONSTRAINT worked_items_worked_at_not_null NOT NULL,
  outcome text CONSTRAINT worked_items_outcome_not_null NOT NULL,
  attempts integer CONSTRAINT worked_items_attempts_not_null NOT NULL,
  content bytea CONSTRAINT worked_items_content_not_null NOT NULL,
  correlation_id uuid CONSTRAINT worked_items_correlation_id_not_null NOT NULL
);
CREATE TABLE ingest.worked_items_20261128 (
  tenant_id uuid CONSTRAINT worked_items_tenant_id_not_null NOT NULL,
  item_id uuid CONSTRAINT worked_items_item_id_not_null NOT NULL,
  kind smallint CONSTRAINT worked_items_kind_not_null NOT NULL,
  received_at timestamp with time zone CONSTRAINT worked_items_received_at_not_null NOT NULL,
  worked_at timestamp with time zone CONSTRAINT worked_items_worked_at_not_null NOT NULL,
  outcome text CONSTRAINT worked_items_outcome_not_null NOT NULL,
  attempts integer CONSTRAINT worked_items_attempts_not_null NOT NULL,
  content bytea CONSTRAINT worked_items_content_not_null NOT NULL,
  correlation_id uuid CONSTRAINT worked_items_correlation_id_not_null NOT NULL
);
CREATE TABLE ingest.worked_items_20261129 (
  tenant_id uuid CONSTRAINT worked_items_tenant_id_not_null NOT NULL,
  item_id uuid CONSTRAINT worked_items_item_id_not_null NOT NULL,
  kind smallint CONSTRAINT worked_items_kind_not_null NOT NULL,
  received_at timestamp with time zone CONSTRAINT worked_items_received_at_not_null NOT NULL,
  worked_at timestamp with time zone CONSTRAINT worked_items_worked_at_not_null NOT NULL,
  outcome text CONSTRAINT worked_items_outcome_not_null NOT NULL,
  attempts integer CONSTRAINT worked_items_attempts_not_null NOT NULL,
  content bytea CONSTRAINT worked_items_content_not_null NOT NULL,
  correlation_id uuid CONSTRAINT worked_items_correlation_id_not_null NOT NULL
);
CREATE TABLE ingest.worked_items_20261130 (
  tenant_id uuid CONSTRAINT worked_items_tenant_id_not_null NOT NULL,
  item_id uuid CONSTRAINT worked_items_item_id_not_null NOT NULL,
  kind smallint CONSTRAINT worked_items_kind_not_null NOT NULL,
  received_at timestamp with time zone CONSTRAINT worked_items_received_at_not_null NOT NULL,
  worked_at timestamp with time zone CONSTRAINT worked_items_worked_at_not_null NOT NULL,
  outcome text CONSTRAINT worked_items_outcome_not_null NOT NULL,
  attempts integer CONSTRAINT worked_items_attempts_not_null NOT NULL,
  content bytea CONSTRAINT worked_items_content_not_null NOT NULL,
  correlation_id uuid CONSTRAINT worked_items_correlation_id_not_null NOT NULL
);
CREATE TABLE ingest.worked_items_20261201 (
  tenant_id uuid CONSTRAINT worked_items_tenant_id_not_null NOT NULL,
  item_id uuid CONSTRAINT worked_items_item_id_not_null NOT NULL,
  kind smallint CONSTRAINT worked_items_kind_not_null NOT NULL,
  received_at timestamp with time zone CONSTRAINT worked_items_received_at_not_null NOT NULL,
  worked_at timestamp with time zone CONSTRAINT worked_items_worked_at_not_null NOT NULL,
  outcome text CONSTRAINT worked_items_outcome_not_null NOT NULL,
  attempts integer CONSTRAINT worked_items_attempts_not_null NOT NULL,
  content bytea CONSTRAINT worked_items_content_not_null NOT NULL,
  correlation_id uuid CONSTRAINT worked_items_correlation_id_not_null NOT NULL
);
CREATE TABLE ingest.worked_items_20261202 (
  tenant_id uuid CONSTRAINT worked_items_tenant_id_not_null NOT NULL,
  item_id uuid CONSTRAINT worked_items_item_id_not_null NOT NULL,
  kind smallint CONSTRAINT worked_items_kind_not_null NOT NULL,
  received_at timestamp with time zone CONSTRAINT worked_items_received_at_not_null NOT NULL,
  worked_at timestamp with time zone CONSTRAINT worked_items_worked_at_not_null NOT NULL,
  outcome text CONSTRAINT worked_items_outcome_not_null NOT NULL,
  attempts integer CONSTRAINT worked_items_attempts_not_null NOT NULL,
  content bytea CONSTRAINT worked_items_content_not_null NOT NULL,
  correlation_id uuid CONSTRAINT worked_items_correlation_id_not_null NOT NULL
);
CREATE TABLE ingest.worked_items_20261203 (
  tenant_id uuid CONSTRAINT worked_items_tenant_id_not_null NOT NULL,
  item_id uuid CONSTRAINT worked_items_item_id_not_null NOT NULL,
  kind smallint CONSTRAINT worked_items_kind_not_null NOT NULL,
  received_at timestamp with time zone CONSTRAINT worked_items_received_at_not_null NOT NULL,
  worked_at timestamp with time zone CONSTRAINT worked_items_worked_at_not_null NOT NULL,
  outcome text CONSTRAINT worked_items_outcome_not_null NOT NULL,
  attempts integer CONSTRAINT worked_items_attempts_not_null NOT NULL,
  content bytea CONSTRAINT worked_items_content_not_null NOT NULL,
  correlation_id uuid CONSTRAINT worked_items_correlation_id_not_null NOT NULL
);
CREATE TABLE ingest.worked_items_20261204 (
  tenant_id uuid CONSTRAINT worked_items_tenant_id_not_null NOT NULL,
  item_id uuid CONSTRAINT worked_items_item_id_not_null NOT NULL,
  kind smallint CONSTRAINT worked_items_kind_not_null NOT NULL,
  received_at timestamp with time zone CONSTRAINT worked_items_received_at_not_null NOT NULL,
  worked_at timestamp with time zone CONSTRAINT worked_items_worked_at_not_null NOT NULL,
  outcome text CONSTRAINT worked_items_outcome_not_null NOT NULL,
  attempts integer CONSTRAINT worked_items_attempts_not_null NOT NULL,
  content bytea CONSTRAINT worked_items_content_not_null NOT NULL,
  correlation_id uuid CONSTRAINT worked_items_correlation_id_not_null NOT NULL
);
CREATE TABLE ingest.worked_items_default (
  tenant_id uuid CONSTRAINT worked_items_tenant_id_not_null NOT NULL,
  item_id uuid CONSTRAINT worked_items_item_id_not_null NOT NULL,
  kind smallint CONSTRAINT worked_items_kind_not_null NOT NULL,
  received_at timestamp with time zone CONSTRAINT worked_items_received_at_not_null NOT NULL,
  worked_at timestamp with time zone CONSTRAINT worked_items_worked_at_not_null NOT NULL,
  outcome text CONSTRAINT worked_items_outcome_not_null NOT NULL,
  attempts integer CONSTRAINT worked_items_attempts_not_null NOT NULL,
  content bytea CONSTRAINT worked_items_content_not_null NOT NULL,
  correlation_id uuid CONSTRAINT worked_items_correlation_id_not_null NOT NULL
);
ALTER TABLE ONLY ingest.worked_items ATTACH PARTITION ingest.worked_items_20261127 FOR VALUES FROM ('2026-11-27 00:00:00+00') TO ('2026-11-28 00:00:00+00');
ALTER TABLE ONLY ingest.worked_items ATTACH PARTITION ingest.worked_items_20261128 FOR VALUES FROM ('2026-11-28 00:00:00+00') TO ('2026-11-29 00:00:00+00');
ALTER TABLE ONLY ingest.worked_items ATTACH PARTITION ingest.worked_items_20261129 FOR VALUES FROM ('2026-11-29 00:00:00+00') TO ('2026-11-30 00:00:00+00');
ALTER TABLE ONLY ingest.worked_items ATTACH PARTITION ingest.worked_items_20261130 FOR VALUES FROM ('2026-11-30 00:00:00+00') TO ('2026-12-01 00:00:00+00');
ALTER TABLE ONLY ingest.worked_items ATTACH PARTITION ingest.worked_items_20261201 FOR VALUES FROM ('2026-12-01 00:00:00+00') TO ('2026-12-02 00:00:00+00');
ALTER TABLE ONLY ingest.worked_items ATTACH PARTITION ingest.worked_items_20261202 FOR VALUES FROM ('2026-12-02 00:00:00+00') TO ('2026-12-03 00:00:00+00');
ALTER TABLE ONLY ingest.worked_items ATTACH PARTITION ingest.worked_items_20261203 FOR VALUES FROM ('2026-12-03 00:00:00+00') TO ('2026-12-04 00:00:00+00');
ALTER TABLE ONLY ingest.worked_items ATTACH PARTITION ingest.worked_items_20261204 FOR VALUES FROM ('2026-12-04 00:00:00+00') TO ('2026-12-05 00:00:00+00');
ALTER TABLE ONLY ingest.worked_items ATTACH PARTITION ingest.worked_items_default DEFAULT;
INSERT INTO ingest.alembic_version VALUES ('0001');
INSERT INTO ingest.cursors VALUES ('edge_refusals:http://127.0.0.1:49135', '0', '2026-11-27 15:27:09.781588+00');
INSERT INTO ingest.cursors VALUES ('tenant_changes', 'WzIsIG51bGxd', '2026-11-27 15:30:59.712646+00');
INSERT INTO ingest.item_keys VALUES ('01a21da1-9f9b-72e1-9e46-f736ede1d79a', '2026-11-27 15:31:01.132275+00');
INSERT INTO ingest.item_keys VALUES ('01a21da1-a1d7-762c-8d43-6910c6cca30d', '2026-11-27 15:31:01.706092+00');
INSERT INTO ingest.item_keys VALUES ('a0bbd97a-45f2-e487-9d6e-f615280ec59e', '2026-11-27 15:31:01.954165+00');
INSERT INTO ingest.item_keys VALUES ('d10ba571-3330-32ba-d059-ed36b3f18ac9', '2026-11-27 15:31:01.954165+00');
INSERT INTO ingest.item_keys VALUES ('8861448b-48a3-58d3-f06e-0b82b706733a', '2026-11-27 15:31:02.849745+00');
INSERT INTO ingest.item_keys VALUES ('d55803e1-24fc-17f4-e452-42772476c8ec', '2026-11-27 15:31:03.259402+00');
INSERT INTO ingest.item_keys VALUES ('af7d1424-2902-d98b-cf66-9b29750f959d', '2026-11-27 15:31:03.646295+00');
INSERT INTO ingest.item_keys VALUES ('da7c8f90-8374-e2d7-8eff-f7008a2a5a32', '2026-11-27 15:31:03.646295+00');
INSERT INTO ingest.item_keys VALUES ('43d29875-9445-05d3-141a-117b419cc42c', '2026-11-27 15:31:04.064335+00');
INSERT INTO ingest.item_keys VALUES ('b570ba2a-fb5a-a83c-5b94-b86679f3edeb', '2026-11-27 15:31:04.064335+00');
INSERT INTO ingest.item_keys VALUES ('f71bcb28-c5a2-8ce2-12ed-be9fc24c7851', '2026-11-27 15:31:05.872988+00');
INSERT INTO ingest.item_keys VALUES ('54fe41fa-d10a-c8d4-dc0b-fd4d9d3b8831', '2026-11-27 15:31:06.246229+00');
INSERT INTO ingest.item_keys VALUES ('60095c17-4dcf-4709-a93f-f3c6863b6f7e', '2026-11-27 15:31:06.246229+00');
INSERT INTO ingest.items VALUES ('01a21da1-919d-7262-8d05-264763f174f4', '01a21da1-b20c-7d36-b770-a107c9aef239', 7, '2026-11-27 15:31:05.868796+00', NULL, '\x7b22737562736372697074696f6e5f6964223a2230316132316461312d396535632d373035662d613033352d643261336330313732386231222c226d6573736167655f6964223a2241416b414c67414141414141485951444561706d456332627941437141432d4557673041495277676444384b67545534414141414159616a414141414141413d222c226368616e67655f74797065223a2263726561746564222c2265746167223a22572f5c2243514141414259414141495277676444384b67545534414141414159616a414141425c22222c226e6f74696669636174696f6e223a7b226964223a2239333338313466642d653132612d343132342d386430642d363439326633653639303432222c22737562736372697074696f6e4964223a2237316139376261382d663839352d343534622d383930362d333136636436383636353237222c22737562736372697074696f6e45787069726174696f6e4461746554696d65223a22323032362d31322d30345431353a31363a30302e303030303030302b30303a3030222c226368616e676554797065223a2263726561746564222c2274656e616e744964223a2231323038353635332d373337642d346465352d623262312d616339626332346638373239222c227265736f75726365223a2255736572732f30323938613534362d303634622d343364302d393133332d3338663939653231623032392f4d657373616765732f41416b414c67414141414141485951444561706d456332627941437141432d4557673041495277676444384b67545534414141414159616a414141414141413d222c227265736f7572636544617461223a7b22406f646174612e74797065223a22234d6963726f736f66742e47726170682e4d657373616765222c22406f646174612e6964223a2255736572732f30323938613534362d303634622d343364302d393133332d3338663939653231623032392f4d657373616765732f41416b414c67414141414141485951444561706d456332627941437141432d4557673041495277676444384b67545534414141414159616a414141414141413d222c226964223a2241416b414c67414141414141485951444561706d456332627941437141432d4557673041495277676444384b67545534414141414159616a414141414141413d222c22406f646174612e65746167223a22572f5c2243514141414259414141495277676444384b67545534414141414159616a414141425c22227d7d7d', '0aa059e5-9d96-4706-a131-a81e9cfb3669', '', 0, 0, '[]');
INSERT INTO ingest.items VALUES ('01a21da1-9825-78a1-89c4-d1d7b9881283', '01a21da1-b385-7d2b-9a97-c0a8a75db1f1', 8, '2026-11-27 15:31:06.245782+00', NULL, '\x08b28fd508120b3130303030303030303034', 'f7177b7a-167f-468d-99ad-5289b6b2fd5e', '', 0, 0, '[]');
INSERT INTO ingest.mailboxes VALUES ('01a21da1-919d-7262-8d05-264763f174f4', 3, '2026-11-27 15:31:05.872988+00', false, '', NULL, NULL, '{}', '2026-11-27 15:31:05.868796+00', NULL);
INSERT INTO ingest.mailboxes VALUES ('01a21da1-9825-78a1-89c4-d1d7b9881283', 3, '2026-11-27 15:31:06.246229+00', false, '', NULL, NULL, '{}', '2026-11-27 15:31:06.245782+00', NULL);
INSERT INTO ingest.subscriptions VALUES ('01a21da1-9e5c-705f-a035-d2a3c01728b1', '01a21da1-919d-7262-8d05-264763f174f4', 'ms365', 2, 'inbox', '{}', '{created,deleted,updated}', 'folder:inbox', 1, '71a97ba8-f895-454b-8906-316cd6866527', '\x7b9109c944c9f72c54e4439509fe2c3e3fb3dfb81ea986363be00b1e77003127', NULL, NULL, '2026-12-04 15:16:00+00', '2026-12-01 08:31:23.727933+00', '2026-11-27 15:31:05.868796+00', '2026-11-27 15:31:00.866233+00', NULL, '', '', 0, NULL, '', NULL, 1, '2026-11-27 15:31:00.822722+00', '2026-11-27 15:31:00.823194+00', '2026-11-27 15:31:01.132275+00');
INSERT INTO ingest.subscriptions VALUES ('01a21da1-a081-754d-8823-18e77782ebee', '01a21da1-9825-78a1-89c4-d1d7b9881283', 'googlews', 2, '', '{INBOX}', '{created,deleted,updated}', 'labels:INBOX', 1, NULL, NULL, NULL, 18171728, '2026-12-04 15:31:01.679+00', '2026-11-28 16:17:41.252853+00', '2026-11-27 15:31:06.245782+00', '2026-11-27 15:31:01.488388+00', NULL, '', '', 0, NULL, '', NULL, 1, '2026-11-27 15:31:01.373243+00', '2026-11-27 15:31:01.376253+00', '2026-11-27 15:31:01.706092+00');
INSERT INTO ingest.tenants VALUES ('01a21da1-919d-7262-8d05-264763f174f4', 'ms365', '12085653-737d-4de5-b2b1-ac9bc24f8729', '0298a546-064b-43d0-9133-38f99e21b029', 'anna@contoso.test', 1, '{Mail.Read,User.Read,email,openid,profile}', false, '2026-11-27 15:30:58.05316+00', '2026-11-27 15:30:58.05316+00');
INSERT INTO ingest.tenants VALUES ('01a21da1-9825-78a1-89c4-d1d7b9881283', 'googlews', 'fabrikam.test', '127543785623161969860', 'carla@fabrikam.test', 1, '{https://www.googleapis.com/auth/gmail.readonly,https://www.googleapis.com/auth/userinfo.email,openid}', false, '2026-11-27 15:30:59.712646+00', '2026-11-27 15:30:59.712646+00');
INSERT INTO ingest.worked_items_20261127 VALUES ('01a21da1-919d-7262-8d05-264763f174f4', '01a21da1-9f9b-72e1-9e46-f736ede1d79a', 9, '2026-11-27 15:31:00.866233+00', '2026-11-27 15:31:01.4818+00', 'done', 1, '\x0a2430316132316461312d396535632d373035662d613033352d6432613363303137323862311a0c08b4c4a6d80610d0fba68803', '359273a5-a3d7-4d28-af82-2ac02dfe7ee5');
INSERT INTO ingest.worked_items_20261127 VALUES ('01a21da1-919d-7262-8d05-264763f174f4', '01a21da1-a012-77e5-900c-fd6fbc286435', 10, '2026-11-27 15:31:01.132275+00', '2026-11-27 15:31:02.340095+00', 'done', 1, '\x08011a2430316132316461312d613031322d373765352d393030632d666436666263323836343335', '359273a5-a3d7-4d28-af82-2ac02dfe7ee5');
INSERT INTO ingest.worked_items_20261127 VALUES ('01a21da1-9825-78a1-89c4-d1d7b9881283', '01a21da1-a1d7-762c-8d43-6910c6cca30d', 9, '2026-11-27 15:31:01.488388+00', '2026-11-27 15:31:02.534535+00', 'done', 1, '\x0a2430316132316461312d613038312d373534642d383832332d31386537373738326562656510d08ed5081a0c08b5c4a6d80610f8f8fcb101', '69ce7845-0dfb-47d0-8c67-9fce0081a674');
INSERT INTO ingest.worked_items_20261127 VALUES ('01a21da1-9825-78a1-89c4-d1d7b9881283', '01a21da1-a1df-7366-a2e2-d75af9075746', 8, '2026-11-27 15:31:01.727164+00', '2026-11-27 15:31:02.618859+00', 'done', 1, '\x08d08ed508120b3130303030303030303031', '856f4595-65ff-4f3a-b796-a9753c0917fe');
INSERT INTO ingest.worked_items_20261127 VALUES ('01a21da1-9825-78a1-89c4-d1d7b9881283', '01a21da1-a245-70f2-81f3-ce6d074bcf50', 10, '2026-11-27 15:31:01.706092+00', '2026-11-27 15:31:02.895684+00', 'done', 1, '\x08011a2430316132316461312d613234352d373066322d383166332d636536643037346263663530', '69ce7845-0dfb-47d0-8c67-9fce0081a674');
INSERT INTO ingest.worked_items_20261127 VALUES ('01a21da1-919d-7262-8d05-264763f174f4', '01a21da1-a637-7fbc-8b5f-5686e8cf2468', 7, '2026-11-27 15:31:02.839937+00', '2026-11-27 15:31:04.078823+00', 'done', 1, '\x7b22737562736372697074696f6e5f6964223a2230316132316461312d396535632d373035662d613033352d643261336330313732386231222c226d6573736167655f6964223a2241416b414c67414141414141485951444561706d456332627941437141432d4557673041495277676444384b675455344141414141596168414141414141413d222c226368616e67655f74797065223a2263726561746564222c2265746167223a22572f5c2243514141414259414141495277676444384b675455344141414141596168414141425c22222c226e6f74696669636174696f6e223a7b226964223a2235313838333731622d663564332d343164652d383161342d366134343663366566396635222c22737562736372697074696f6e4964223a2237316139376261382d663839352d343534622d383930362d333136636436383636353237222c22737562736372697074696f6e45787069726174696f6e4461746554696d65223a22323032362d31322d30345431353a31363a30302e303030303030302b30303a3030222c226368616e676554797065223a2263726561746564222c2274656e616e744964223a2231323038353635332d373337642d346465352d623262312d616339626332346638373239222c227265736f75726365223a2275736572732f30323938613534362d303634622d343364302d393133332d3338663939653231623032394031323038353635332d373337642d346465352d623262312d6163396263323466383732392f6d657373616765732f41416b414c67414141414141485951444561706d456332627941437141432d4557673041495277676444384b675455344141414141596168414141414141413d222c227265736f7572636544617461223a7b22406f646174612e74797065223a22234d6963726f736f66742e47726170682e4d657373616765222c22406f646174612e6964223a2275736572732f30323938613534362d303634622d343364302d393133332d3338663939653231623032394031323038353635332d373337642d346465352d623262312d6163396263323466383732392f6d657373616765732f41416b414c67414141414141485951444561706d456332627941437141432d4557673041495277676444384b675455344141414141596168414141414141413d222c226964223a2241416b414c67414141414141485951444561706d456332627941437141432d4557673041495277676444384b675455344141414141596168414141414141413d222c22406f646174612e65746167223a22572f5c2243514141414259414141495277676444384b675455344141414141596168414141425c22227d7d7d', 'ba99d212-216a-47d8-a32d-80cfe3d3e0b6');
INSERT INTO ingest.worked_items_20261127 VALUES ('01a21da1-9825-78a1-89c4-d1d7b9881283', '01a21da1-a95d-7ed8-adc3-8f4db2c3168a', 8, '2026-11-27 15:31:03.645892+00', '2026-11-27 15:31:04.924486+00', 'done', 1, '\x08dc8ed508120b3130303030303030303032', '56222242-d805-4d99-a4c1-d511ef7807ab');
INSERT INTO ingest.worked_items_20261127 VALUES ('01a21da1-919d-7262-8d05-264763f174f4', '01a21da1-a7da-7db2-a5a7-50a848a4f128', 7, '2026-11-27 15:31:03.258823+00', '2026-11-27 15:31:04.960349+00', 'done', 1, '\x7b22737562736372697074696f6e5f6964223a2230316132316461312d396535632d373035662d613033352d643261336330313732386231222c226d6573736167655f6964223a2241416b414c67414141414141485951444561706d456332627941437141432d4557673041495277676444384b675455344141414141596169414141414141413d222c226368616e67655f74797065223a2263726561746564222c2265746167223a22572f5c2243514141414259414141495277676444384b675455344141414141596169414141425c22222c226e6f74696669636174696f6e223a7b226964223a2237366635343731612d336631352d346663342d396638632d633761373165653739353536222c22737562736372697074696f6e4964223a2237316139376261382d663839352d343534622d383930362d333136636436383636353237222c22737562736372697074696f6e45787069726174696f6e4461746554696d65223a22323032362d31322d30345431353a31363a30302e303030303030302b30303a3030222c226368616e676554797065223a2263726561746564222c2274656e616e744964223a2231323038353635332d373337642d346465352d623262312d616339626332346638373239222c227265736f75726365223a225573657273282730323938613534362d303634622d343364302d393133332d33386639396532316230323927292f6d65737361676573282741416b414c67414141414141485951444561706d456332627941437141432d4557673041495277676444384b675455344141414141596169414141414141413d2729222c227265736f7572636544617461223a7b22406f646174612e74797065223a22236d6963726f736f66742e67726170682e6d657373616765222c22406f646174612e6964223a225573657273282730323938613534362d303634622d343364302d393133332d33386639396532316230323927292f6d65737361676573282741416b414c67414141414141485951444561706d456332627941437141432d4557673041495277676444384b675455344141414141596169414141414141413d2729222c226964223a2241416b414c67414141414141485951444561706d456332627941437141432d4557673041495277676444384b675455344141414141596169414141414141413d222c22406f646174612e65746167223a22572f5c2243514141414259414141495277676444384b675455344141414141596169414141425c22227d7d7d', 'f4cb8ac4-bea4-4169-99e1-8ffeee9ba547');
INSERT INTO ingest.worked_items_20261127 VALUES ('01a21da1-9825-78a1-89c4-d1d7b9881283', '01a21da1-aaee-70c2-9381-e46cde06bcfc', 8, '2026-11-27 15:31:04.046009+00', '2026-11-27 15:31:05.232985+00', 'done', 1, '\x08838fd508120b3130303030303030303033', '9f61fe6c-8a76-4d76-a9de-88367bd05f28');
ALTER TABLE ONLY ingest.alembic_version
  ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY ingest.cursors
  ADD CONSTRAINT cursors_pkey PRIMARY KEY (name);
ALTER TABLE ONLY ingest.dead_letters
  ADD CONSTRAINT dead_letters_item_id_key UNIQUE (item_id);
ALTER TABLE ONLY ingest.dead_letters
  ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (dead_letter_id);
ALTER TABLE ONLY ingest.item_keys
  ADD CONSTRAINT item_keys_pkey PRIMARY KEY (key);
ALTER TABLE ONLY ingest.items
  ADD CONSTRAINT items_pkey PRIMARY KEY (tenant_id, item_id);
ALTER TABLE ONLY ingest.lifecycle_notifications
  ADD CONSTRAINT lifecycle_notifications_pkey PRIMARY KEY (lifecycle_id);
ALTER TABLE ONLY ingest.mailboxes
  ADD CONSTRAINT mailboxes_pkey PRIMARY KEY (tenant_id);
ALTER TABLE ONLY ingest.refusals
  ADD CONSTRAINT refusals_pkey PRIMARY KEY (minute);
ALTER TABLE ONLY ingest.subscriptions
  ADD CONSTRAINT subscriptions_pkey PRIMARY KEY (subscription_id);
ALTER TABLE ONLY ingest.tenants
  ADD CONSTRAINT tenants_pkey PRIMARY KEY (tenant_id);
CREATE INDEX dead_letters_open ON ingest.dead_letters USING btree (dead_letter_id) WHERE (retried_at IS NULL);
CREATE INDEX dead_letters_tenant ON ingest.dead_letters USING btree (tenant_id, dead_letter_id);
CREATE INDEX items_delayed ON ingest.items USING btree (tenant_id, due_at) WHERE (due_at IS NOT NULL);
CREATE INDEX items_ready ON ingest.items USING btree (tenant_id, item_id) WHERE (due_at IS NULL);
CREATE INDEX items_reconcile ON ingest.items USING btree (tenant_id) WHERE (kind = 10);
CREATE INDEX lifecycle_due ON ingest.lifecycle_notifications USING btree (due_at) WHERE (worked_at IS NULL);
CREATE UNIQUE INDEX lifecycle_waiting ON ingest.lifecycle_notifications USING btree (subscription_id, event) WHERE (worked_at IS NULL);
CREATE INDEX mailboxes_due ON ingest.mailboxes USING btree (next_due_at) WHERE ((next_due_at IS NOT NULL) AND (NOT is_waiting));
CREATE INDEX subscriptions_created ON ingest.subscriptions USING btree (created_at, subscription_id);
CREATE INDEX subscriptions_due ON ingest.subscriptions USING btree (renew_at) WHERE (renew_at IS NOT NULL);
CREATE INDEX subscriptions_provider_id ON ingest.subscriptions USING btree (provider_subscription_id) WHERE (provider_subscription_id IS NOT NULL);
CREATE UNIQUE INDEX subscriptions_watched ON ingest.subscriptions USING btree (tenant_id, watched) WHERE (state <> 7);
CREATE INDEX tenants_address ON ingest.tenants USING btree (provider, address);
CREATE INDEX tenants_release_due ON ingest.tenants USING btree (tenant_id) WHERE is_release_due;
