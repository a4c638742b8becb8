"""The parts of the schemas that a PostgreSQL distributed by tenant refuses, each with what it would take."""

UNIQUE_KEYS = {
    "An id that mailmesh draws at random: the tenant goes in front of the key, and callers name it beside the id.": """
        delivery.attempts_pkey delivery.erased_persons_pkey ingest.dead_letters_item_id_key ingest.dead_letters_pkey
        ingest.erased_persons_pkey ingest.lifecycle_notifications_pkey ingest.subscriptions_pkey
        processor.calendar_writes_pkey processor.calendars_pkey processor.conversations_pkey
        processor.erased_persons_pkey processor.modifications_pkey processor.sends_pkey processor.uploads_pkey
        vault.erased_persons_pkey vault.person_erasures_pkey""",
    "A subscription is of one tenant: as above.": "ingest.lifecycle_waiting",
    "The key must see all tenants, so the table stays whole, on one node or on each.": """
        vault.authorization_flows_pkey vault.authorization_flows_state vault.authorization_flows_ticket
        vault.tenants_account""",
    "One order for all tenants, which is why the log stays on one node.": """
        delivery.deliveries_pkey processor.events_pkey vault.audit_entries_pkey vault.tenant_changes_pkey""",
}
FOREIGN_KEYS = {
    "Both tables get the tenant in their keys.": """
        processor.calendar_events_calendar_id_fkey processor.calendar_staged_calendar_id_fkey
        processor.calendar_unread_calendar_id_fkey processor.send_files_send_id_fkey
        processor.send_files_upload_id_fkey processor.send_reports_send_id_fkey
        processor.upload_parts_upload_id_fkey""",
    "The owner of a shared mailbox is another tenant: the table stays whole, as its key above.": "vault.tenants_owner",
}
TRIGGERS = {
    "Sums of kept bytes: one row of the tenant, in the same table for each node, or a sum when it is asked for.": """
        kept_add kept_change kept_remove""",
    "The audit log refuses changes; it stays on one node.": "audit_entries_append_only",
}
