"""The settings of Processor about mailboxes: providers, workers, fetching and reconciling."""

from pydantic import Field

from services.meshkit.settings import MeshSettings, env


class MailboxSettings(MeshSettings):
    """Settings about mailboxes; a part of `ProcessorSettings`."""

    ms365_graph_url: str = env(
        "MAILMESH_MS365_GRAPH_URL",
        "https://graph.microsoft.com/v1.0",
        description="Microsoft Graph with its version.",
        pattern=r"^https://.+[^/]$",
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
        description="The Google Calendar API with its version.",
        pattern=r"^https://.+[^/]$",
    )

    connections: int = Field(
        16,
        ge=2,
        le=200,
        description="Largest number of connections to PostgreSQL of one process, besides those that listen to notices: "
        "two of the server, one of a worker.",
    )

    tenants_at_once: int = Field(32, ge=1, le=500, description="Mailboxes that one worker processes concurrently.")
    claim_items: int = Field(
        200, ge=1, le=500, description="Largest number of items in one claim, over all its mailboxes."
    )
    lease_seconds: int = Field(
        60, ge=5, le=600, description="Duration of a lease on a mailbox; it is extended while processing continues."
    )
    sweep_seconds: float = Field(1.0, gt=0, le=60, description="Interval of a worker's polls without a wake-up.")
    grace_seconds: float = Field(
        20.0,
        ge=0,
        le=600,
        description="Time for which a stopping worker continues processing before it releases its items.",
    )
    commit_messages: int = Field(20, ge=1, le=200, description="Largest number of messages in one fetch and commit.")

    fetch_attempts: int = Field(
        5, ge=1, le=100, description="Failed fetches after which an event is published without its message."
    )
    announce_after_seconds: int = Field(
        900,
        ge=1,
        le=2_592_000,
        description=(
            "Age at which an event is published without its message after any number of attempts, "
            "for example while a mailbox is throttled."
        ),
    )
    retry_base_seconds: float = Field(
        2.0, gt=0, le=600, description="First pause after a failure; it doubles each time and has jitter."
    )
    retry_max_seconds: float = Field(900.0, gt=0, le=86400, description="Longest pause between two attempts.")
    bury_attempts: int = Field(
        20, ge=1, le=1000, description="Failed attempts after which an item of a whole mailbox becomes a dead letter."
    )
    missing_seconds: float = Field(
        180.0,
        ge=0,
        le=3600,
        description=("Time until a missing message counts as deleted, and in which a new one may still appear."),
    )
    give_up_seconds: int = Field(
        86400,
        ge=60,
        le=2_592_000,
        description="Time for which content is still fetched after an event was published without it.",
    )

    provider_timeout_seconds: float = Field(
        30.0, gt=0, le=300, description="Longest time for a provider's answer to one request."
    )
    provider_connections: int = Field(
        64, ge=1, le=1000, description="Largest number of connections to providers of one process."
    )
    provider_answer_bytes: int = Field(
        96 * 1024 * 1024,
        ge=1024,
        le=1024 * 1024 * 1024 * 1024,
        description="Largest answer of a provider that is read.",
    )
    token_seconds: float = Field(300.0, gt=0, le=300, description="Time for which a lent token is kept in memory.")
    gmail_requests_at_once: int = Field(8, ge=1, le=50, description="Concurrent requests for one Gmail mailbox.")
    gmail_units_per_minute: int = Field(
        6000,
        ge=60,
        le=100_000_000,
        description=("Quota units of one Gmail mailbox per minute: 6000, or 15000 for projects from before May 2026."),
    )

    gmail_settle_seconds: float = Field(
        120.0,
        gt=0,
        le=3600,
        description=(
            "Time after which Gmail's history is read a second time, because records can be missing from the first "
            "answer."
        ),
    )

    gmail_second_comparison_seconds: float = Field(
        300.0,
        gt=0,
        le=86400,
        description="Time after a comparison of a Gmail mailbox until it is compared once more.",
    )
    gmail_compare_messages: int = Field(
        5000,
        ge=0,
        le=1_000_000,
        description=(
            "Largest number of mails outside of the recent time that are checked for changes after Gmail lost the "
            "history; each costs 20 quota units."
        ),
    )

    page_size: int = Field(500, ge=1, le=500, description="Entries in a page of history or delta.")
    slice_seconds: float = Field(
        5.0,
        gt=0,
        le=60,
        description="Time for which a reconciliation runs before new mail of the same mailbox takes its turn.",
    )
    overlap_seconds: int = Field(
        600, ge=0, le=86_400, description="Time before the last event at which a reconciliation by time begins."
    )
    poll_seconds: int = Field(
        60, ge=1, le=86_400, description="Interval between reconciliations of a mailbox without pushes."
    )
    reconcile_active_seconds: int = Field(
        300,
        ge=1,
        le=604_800,
        description=(
            "Interval between reconciliations of a mailbox with pushes that is in use: the time within which mail "
            "without a notification is found there."
        ),
    )
    reconcile_idle_seconds: int = Field(
        1800,
        ge=1,
        le=604_800,
        description="Longest interval between reconciliations of a mailbox with pushes that had no event for hours.",
    )
    reconcile_seconds: int = Field(
        6 * 3600,
        ge=60,
        le=2_592_000,
        description=(
            "Interval between reconciliations of every folder where a Microsoft subscription covers all mail; the ones "
            "between read only what was changed. An upper bound of the two intervals above."
        ),
    )

    draft_events: bool = Field(
        default=False,
        description=(
            "Whether drafts make events, at both providers. Without, the first event of a draft is the mail.created of "
            "the mail that was sent."
        ),
    )
