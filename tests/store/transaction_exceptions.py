"""Transactions that name several tenants, each with its reason."""

_BY_REASON = {
    "A page of a list has the tenants that its caller may see.": """
        ingest/store/subscriptions:page token_vault/store/audit:list_entries token_vault/store/tenants:list_tenants""",
    "A worker claims the mailboxes that are due, of all tenants, in one statement.": """
        ingest/store/claims:end_and_claim ingest/store/dedicated_connection:DedicatedConnection.fetchrow""",
    "A loop finds the tenants that have work.": """
        ingest/store/subscriptions:pushed_tenants processor/mailbox/store/due_queues:due_tenants
        processor/stream/store/sealed_tenants:due
        processor/stream/store/turns:due""",
    "A process keeps the keys of all sealed tenants, and reads the list of them at once.": """
        processor/stream/store/sealed_tenants:all_of""",
    "A batch of the log of tenant changes is applied at once, and its position noted with it.": """
        processor/stream/tenant_events:TenantStates.apply""",
    "An endpoint is for the tenants that its operator names, and its queue is in one order for all of them.": """
        delivery/endpoints/use_cases:Endpoints.create delivery/sending/results:record
        delivery/store/deliveries:following""",
    "Readers of the stream get the events of all tenants that they may see, from one page of it.": """
        processor/stream/store/event_reader:load processor/stream/store/event_reader:look""",
}
TRANSACTIONS = {place: reason for reason, places in _BY_REASON.items() for place in places.split()}
"""The reason by the function that begins the transaction."""

NOT_LISTED_YET = (
    "processor/calendar",
    "processor/classification",
    "processor/conversations",
    "processor/mail",
    "processor/mailbox",
    "processor/messages",
    "processor/outbox",
    "processor/search",
)
"""Folders of tests in which transactions of several tenants are not yet refused: their lists have not been made."""
