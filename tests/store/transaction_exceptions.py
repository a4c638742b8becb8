"""Transactions that name several tenants, each with its reason."""

_BY_REASON = {
    "A page of a list has the tenants that its caller may see.": """
        ingest/store/subscriptions:page token_vault/store/audit:list_entries token_vault/store/tenants:list_tenants""",
    "A worker claims the mailboxes or the runs that are due, of all tenants, in one statement.": """
        ingest/store/claims:end_and_claim ingest/store/dedicated_connection:DedicatedConnection.fetchrow
        processor/mailbox/store/mailboxes:take_due workflows/engine/runner:Runner.round""",
    "A loop finds the tenants that have work.": """
        ingest/store/subscriptions:pushed_tenants
        processor/conversations/store/retention:tenants processor/mailbox/store/due_queues:due_tenants
        processor/search/store/mails:behind_floor processor/stream/store/sealed_tenants:due""",
    "A loop takes a batch of what is due for all tenants, and commits with it the events or items that follow.": """
        ingest/subscriptions/monitors:SilenceMonitor.round processor/conversations/timers:Timers._fall_due""",
    "Each process knows all tenants whose content is sealed: it reads the list when a tenant's choice changes.": """
        processor/stream/store/sealed_tenants:all_of""",
    "A page of the stream starts the runs for its events at once, and the position of the filter moves with them.": """
        workflows/starting:Starter.start_page""",
    "A process asks for the keys of many tenants by one call, and each loan has its entry in the audit log.": """
        token_vault/accounts/content_keys:ContentKeys.lend""",
    "A rotation wraps a page of keys by the new key, whichever tenants they are of.": """
        token_vault/keys/rotate:KeyRotator._rewrap_all""",
    "A reader of the changes begins with all tenants, page by page.": "token_vault/store/tenants:tenants_after",
    "The search for a send of one tenant names those whose content key is away, to pass over them.": """
        processor/outbox/retention:SendRetention._end_one""",
    "A metric counts over all tenants, page by page.": "processor/calendar/store/calendars:followed_after",
    "A batch of the log of tenant changes is applied at once, and its position noted with it.": """
        processor/stream/tenant_events:TenantStates.apply""",
    "An endpoint is for the tenants that its operator names, and its queue is in one order for all of them.": """
        delivery/endpoints/use_cases:Endpoints.create delivery/sending/results:record
        delivery/store/deliveries:following""",
    "Readers of the stream get the events of all tenants that they may see, from one page of it.": """
        processor/stream/store/event_reader:load processor/stream/store/event_reader:look""",
    "Followers of the stream take turns by tenant: one statement reads the tenants of the next turns.": """
        processor/stream/store/turns:due""",
}
TRANSACTIONS = {place: reason for reason, places in _BY_REASON.items() for place in places.split()}
"""The reason by the function that begins the transaction."""
