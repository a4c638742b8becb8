"""Metrics of the workers. Labels are bounded: providers, operations, reasons, never an id."""

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_STEP_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

PROVIDER_REQUESTS = Counter(
    "mailmesh_processor_provider_requests_total", "Requests to providers.", ["provider", "operation", "status"]
)
PROVIDER_SECONDS = Histogram(
    "mailmesh_processor_provider_seconds", "Time of requests to providers.", ["provider", "operation"], buckets=_SECONDS
)
EVENTS = Counter("mailmesh_processor_events_total", "Events committed.", ["provider", "event_type", "enriched"])
LAG_SECONDS = Histogram(
    "mailmesh_processor_lag_seconds", "From the acceptance of a change to its event.", ["provider"], buckets=_SECONDS
)
STEP_SECONDS = Histogram(
    "mailmesh_processor_step_seconds", "Time of one step on the way to an event.", ["step"], buckets=_STEP_SECONDS
)
LONG_MAPPINGS = Counter(
    "mailmesh_processor_long_mappings_total", "Long mails that were mapped in a process, by outcome.", ["outcome"]
)
LONG_ANSWERS = Counter(
    "mailmesh_processor_long_answers_total",
    "Answers of providers that a process parses, because they are long.",
    ["provider", "operation"],
)
ITEMS = Counter("mailmesh_processor_items_total", "Inbox items by outcome.", ["outcome"])
FAILURES = Counter("mailmesh_processor_failures_total", "Failures by remedy.", ["provider", "remedy", "reason"])
PUT_OFF = Counter("mailmesh_processor_lookups_put_off_total", "Lookups of messages that were postponed.", ["provider"])
CURSORS_REFUSED = Counter(
    "mailmesh_processor_cursors_refused_total",
    "Refusals of stored cursors and page tokens; the second in a row by an unknown code gives the cursor up.",
    ["provider"],
)
HELD = Gauge("mailmesh_processor_mailboxes_held", "Mailboxes that this worker holds now.")
FENCED = Counter("mailmesh_processor_fenced_total", "Commits refused because the lease was lost.")
RECONCILED = Counter("mailmesh_processor_reconciliations_total", "Reconciliations by outcome.", ["provider", "outcome"])
CALENDAR_UNREAD = Counter(
    "mailmesh_processor_calendar_events_unreadable_total",
    "Readings of calendar events and changed instances that failed for this event alone, by reason.",
    ["provider", "reason"],
)
SENDS = Counter("mailmesh_processor_sends_total", "Sends that workers ended, by outcome.", ["provider", "outcome"])
CALENDAR_WRITES = Counter(
    "mailmesh_processor_calendar_writes_total",
    "Writes to calendars, by kind and outcome.",
    ["provider", "kind", "outcome"],
)
MODIFIED = Counter(
    "mailmesh_processor_modified_messages_total", "Mails of modifications, by outcome.", ["provider", "outcome"]
)
TOKENS = Counter("mailmesh_processor_tokens_total", "Tokens by origin.", ["source"])
MEETINGS_TODAY = Gauge(
    "mailmesh_processor_calendar_meetings_today",
    "Meetings of all followed calendars that begin on the present day in UTC; counted every 15 minutes by one process.",
    ["provider", "kind"],
)
