"""Tables, keys and statements that no tenant leads, each with its reason."""

WITHOUT_TENANT = {
    "The row is of the service, not of a tenant.": """
        ingest.cursors ingest.notification_certificates ingest.pull_leases ingest.refusals processor.duties
        processor.features processor.followed processor.stream processor.workers vault.change_position
        vault.key_encryption_keys vault.processes vault.request_ids vault.writing_key workflows.positions""",
    "The row is of an operator's key, session or endpoint, and each may be for several tenants.": """
        delivery.endpoints delivery.notices processor.replays vault.api_keys vault.people vault.sessions""",
    "The credential is the app's own, and serves the tenants of all organisations.": "vault.app_credentials",
    "An organisation whose administrator consented, before any of its mailboxes is a tenant.": "vault.directories",
    "A digest by which repeated notifications are found, without an id.": "ingest.item_keys",
    "The row belongs to a row of a tenant, and goes with it.": """
        processor.calendar_events processor.calendar_staged processor.calendar_unread processor.send_files
        processor.upload_parts""",
    "Sums of bytes that are kept.": "processor.kept_bytes",
}
KEYS = {
    "An id that mailmesh draws at random: it is of one tenant, and others name it without the tenant.": """
        ingest.dead_letters_item_id_key ingest.dead_letters_pkey ingest.lifecycle_notifications_pkey
        ingest.subscriptions_pkey processor.calendar_writes_pkey processor.calendars_pkey processor.conversations_pkey
        processor.modifications_pkey processor.sends_pkey processor.uploads_pkey delivery.attempts_pkey
        delivery.erased_persons_pkey ingest.erased_persons_pkey processor.erased_persons_pkey vault.erased_persons_pkey
        vault.person_erasures_pkey""",
    "A subscription is of one tenant.": "ingest.lifecycle_waiting",
    "A flow begins before its tenant exists, and a browser names it by a digest.": """
        vault.authorization_flows_pkey vault.authorization_flows_state vault.authorization_flows_ticket""",
    "An account is one tenant at most: the key must see all tenants.": "vault.tenants_account",
    "A log in one order for its readers, which is read by position or time.": """
        vault.audit_entries_pkey vault.tenant_changes_pkey processor.events_pkey""",
    "An endpoint receives the events of its tenants in one queue.": "delivery.deliveries_pkey",
}
STATEMENTS = {
    "The statement names rows by an id that mailmesh draws at random; an id is of one tenant.": """
        ingest/store/activity:_SEEN_SUBSCRIPTIONS ingest/store/dead_letters:_CHOOSE_NAMED
        ingest/store/subscription_leases:_LEASE
        ingest/store/lifecycle:_MARK_PROCESSED ingest/store/lifecycle:_POSTPONE ingest/store/lifecycle:_LAST_PROCESSED
        ingest/store/lifecycle:_CALENDAR_OF
        ingest/store/lifecycle:_RENEW_NOW ingest/store/lifecycle:_RECREATE ingest/store/subscription_leases:_update
        ingest/store/subscription_leases:_TENANT_OF ingest/store/subscriptions:_FORGET
        ingest/store/subscriptions:_IS_LEASED processor/calendar/store/calendars:cleared
        processor/calendar/store/calendars:change processor/calendar/store/writes:change
        processor/calendar/store/writes:put_off processor/calendar/store/writes:read_calendar_soon
        processor/conversations/store/conversations:depth processor/conversations/store/conversations:messages
        processor/messages/store/modifications:is_pending processor/messages/store/modifications:change
        processor/outbox/store/reports:of_send
        processor/outbox/store/sends:change processor/outbox/store/due_sends:put_off
        processor/outbox/store/uploads:append processor/outbox/store/uploads:bytes_of
        processor/outbox/store/uploads:read
        token_vault/store/authorization_flows:_SELECT token_vault/store/authorization_flows:_OPEN
        token_vault/store/authorization_flows:_BEGIN_EXCHANGE workflows/store/notices:_DELETE
        processor/erased_labels:IS_ORIGINAL_ERASED
        processor/persons:_FREE_FILES processor/persons:_HOLD_INDEX processor/persons:_UNINDEX
        token_vault/store/person_erasures:_NOTE token_vault/store/person_erasures:_CANCEL
        token_vault/store/person_erasures:_DUE processor/persons:_end_send processor/persons:_end_write
        token_vault/store/person_erasures:_CONFIRM token_vault/store/person_erasures:_FORGET
        token_vault/store/person_erasures:_FINISH""",
    "The row has its tenant, in columns that are composed, or in the order of the table.": """
        delivery/store/attempts:_INSERT
        processor/conversations/store/conversations:add_message processor/conversations/store/conversations:link
        token_vault/store/tenants:insert_tenant""",
    "The conditions are composed at run time, from the filter of the caller or by the statement around this part.": """
        processor/conversations/store/retention:_OLD
        ingest/store/dead_letters:_LIST ingest/store/dead_letters:_COUNT ingest/store/dead_letters:_CHOOSE
        ingest/store/dead_letters:_COUNT_REASONS
        processor/outbox/store/sends:_PAGE processor/stream/store/replays:_MEASURE processor/stream/store/replays:_NEXT
        token_vault/store/audit:_SELECT token_vault/store/data_keys:_OF_ALL token_vault/store/data_keys:_SELECT
        token_vault/store/erasures:_SELECT
        token_vault/store/person_erasures:_SELECT
        token_vault/store/tenants:_SELECT token_vault/store/tenants:change_tenant""",
    "The queue of an endpoint is in one order for all its tenants.": """
        delivery/store/attempts:_PAGE delivery/store/attempts:_OF_OTHERS delivery/store/attempts:_OF_DELETED
        delivery/store/attempts:event_of delivery/store/deliveries:_NEXT delivery/store/deliveries:_HELD
        delivery/store/deliveries:_COUNT delivery/store/deliveries:_HOLD_BACK delivery/store/deliveries:_LET_GO
        delivery/store/deliveries:_LET_GO_SINCE delivery/store/deliveries:_REVIVE delivery/store/deliveries:_FINISH
        delivery/store/deliveries:_HAS_EARLIER
        delivery/store/deliveries:postpone delivery/store/deliveries:exhaust
        delivery/store/deliveries:count_exhausted delivery/store/deliveries:recover delivery/store/endpoints:_COUNTS""",
    "A certificate of the installation is kept while any tenant's subscription has it.": """
        ingest/store/notification_certificates:_IN_USE""",
    "A loop finds the work that is due, or the tenants that have some, among all tenants.": """
        ingest/store/lifecycle:_LOCK_NEXT ingest/store/restored:_WATCHED ingest/store/subscriptions:_PUSHED_TENANTS
        ingest/store/subscription_monitors:_NOTE_SILENT ingest/store/tenants:_RELEASE_DUE
        processor/calendar/store/calendars:DUE
        processor/calendar/store/calendars:followed_after
        processor/calendar/store/calendars:lock_clearing processor/calendar/store/writes:DUE
        processor/mail/store/backfills:DUE processor/mail/store/lookups:DUE processor/mailbox/store/due_queues:_TENANTS
        processor/mailbox/store/mailboxes:HISTORY_DUE processor/messages/store/modifications:DUE
        processor/calendar/store/writes:_OVERDUE processor/stream/store/turns:_DUE
        processor/conversations/store/timers:take_due processor/conversations/store/retention:_TENANTS
        processor/search/store/mails:behind_floor
        processor/mailbox/store/mailboxes:take_due processor/messages/store/modifications:_OVERDUE
        processor/stream/store/sealed_tenants:_ALL processor/stream/store/sealed_tenants:_DUE
        processor/outbox/store/due_sends:DUE processor/outbox/store/due_sends:_OVERDUE
        ingest/store/subscription_leases:_DUE
        ingest/store/upkeep:_MAKE_STRAYS_DUE token_vault/store/credentials:_CLAIM_DUE
        token_vault/store/due_tenants:_DISCONNECTING token_vault/store/tokens:_OLDEST_DUE
        workflows/store/notices:_OLDEST workflows/store/runs:_CLAIM workflows/store/runs:_OVERDUE""",
    "One change of the installation concerns the rows of all tenants: a restored backup, an address, an interval.": """
        ingest/store/subscription_monitors:_RENEW_ALL ingest/store/subscription_monitors:_PUSH_AT_LAST
        processor/calendar/store/writes:doubt_all processor/mailbox/store/mailboxes:bound_due
        processor/outbox/store/sends:lock_unfinished processor/outbox/store/sends:doubt_sealed
        token_vault/store/due_tenants:_SCHEDULE_PROBES_OF""",
    "Rows of all tenants are removed by their age.": """
        delivery/store/attempts:_OLD delivery/store/attempts:_OLD_EXHAUSTED ingest/store/upkeep:_PARTITIONS
        ingest/store/upkeep:_OLD_DEAD_LETTERS ingest/store/upkeep:_OLD_LIFECYCLE ingest/store/upkeep:_OLD_CHANNELS
        processor/calendar/store/invitations:_EXPIRE processor/model/store/calls:delete_old
        processor/calendar/store/writes:_DELETE_OLD processor/messages/store/modifications:_DELETE_OLD
        processor/messages/store/own_changes:_DELETE_OLD processor/outbox/store/sends:_DELETE_OLD
        processor/outbox/store/waiting_reports:_DELETE_OLD processor/conversations/store/reports:delete_old
        processor/outbox/store/uploads:delete_expired processor/stream/store/retention:_PARTITIONS
        processor/stream/store/retention:_RAISE_FLOOR processor/stream/store/retention:_DELETE_KEYS
        workflows/store/runs:_OLD
        token_vault/store/authorization_flows:_PRUNE token_vault/store/tenant_changes:_PRUNE""",
    "Counts over all tenants, for metrics and bounds.": """
        ingest/store/subscription_monitors:_COUNTS token_vault/store/audit:_COUNT_OUTCOMES
        workflows/store/runs:_QUEUED
        processor/stream/store/sealed_tenants:_SUMMARY token_vault/store/tenants:_COUNT_BY_STATUS""",
    "The stream and the log of tenant changes have one order for all tenants.": """
        processor/mailbox/store/tenant_changes:changed_since processor/mailbox/store/tenant_changes:newest_change
        processor/stream/store/event_reader:_LAST_BEFORE processor/stream/store/event_reader:_BEFORE
        processor/stream/store/event_reader:_STATE processor/stream/store/event_reader:_WHOLE_STREAM
        processor/stream/store/replays:_HOLD
        token_vault/store/tenant_changes:_OLDEST_POSITION token_vault/store/tenant_changes:_AFTER""",
    "A provider's notification names a subscription or an address, from which Ingest learns the tenant.": """
        ingest/store/matching:_FIND_SUBSCRIPTIONS ingest/store/matching:_FIND_ADDRESS
        ingest/store/matching:_FIND_CHANNEL""",
    "A batch joins the tenant of each of its entries.": """
        ingest/store/activity:_SEEN_MAILBOXES processor/stream/store/event_log:_TAKEN""",
    "A flow that has no tenant yet is found by the address of the account that is erased.": """
        token_vault/accounts/erase:_FLOWS""",
}


def names(exceptions: dict[str, str]) -> list[str]:
    """List the names of all exceptions."""
    return [name for text in exceptions.values() for name in text.split()]
