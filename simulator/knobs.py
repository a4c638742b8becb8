"""The settings that can change while the simulator runs; the defaults are the real providers' rules."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Knobs(BaseModel):
    """Settings that the command line (``--set``), a scenario or ``PATCH /control/settings`` may change."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    access_token_seconds: int = Field(default=3599, description="life of an access token at both providers")
    code_seconds: int = Field(default=600, description="life of an authorization code")
    ms_refresh_token_seconds: int = Field(
        default=90 * 86400, description="a Microsoft refresh token dies when unused for so long"
    )
    ms_max_app_tokens: int = Field(
        default=50, description="refresh tokens kept per Microsoft account and client; the oldest is forgotten"
    )
    ms_single_use_refresh_tokens: bool = Field(
        default=False, description="a Microsoft refresh token dies with its first use, as strict servers have it"
    )
    google_max_refresh_tokens: int = Field(
        default=100, description="refresh tokens per Google account and client; the oldest dies silently"
    )

    latency_seconds: float = Field(default=0.0, ge=0, description="added to every provider call")
    graph_concurrency: int = Field(
        default=4, ge=0, description="requests at once per app and mailbox before 429; 0 = no limit"
    )
    graph_requests_per_10_minutes: int = Field(
        default=0, ge=0, description="per app and mailbox; real value 10000; 0 = no limit"
    )
    graph_retry_after_seconds: int = Field(default=1, ge=0, description="Retry-After of Graph's own throttling")
    gmail_units_per_minute: int = Field(
        default=0, ge=0, description="quota units per user and minute; real value 6000; 0 = no limit"
    )

    bounce_form: Literal["provider", "exchange", "gmail", "postfix", "zoho", "yahoo", "workmail"] = Field(
        default="provider",
        description="form of the reports of undelivered mail: the mailbox's own, or a server's outside",
    )
    undeliverable: str = Field(
        default="*@undeliverable.test", description="pattern over addresses whose mail comes back as a report"
    )
    graph_sent_copy_seconds: float = Field(
        default=0.0, ge=0, description="a sent mail waits in Drafts for so long until transport takes it to Sent Items"
    )
    graph_sent_ids: Literal["kept", "changed"] = Field(
        default="kept",
        description="whether a draft's immutable id leads to the sent copy; reports contradict each other",
    )
    graph_message_ids: Literal["kept", "rewritten"] = Field(
        default="kept", description="whether a mail that Graph sends keeps the Message-ID that its client gave"
    )
    graph_forward_attachments: bool = Field(
        default=True, description="the draft of a forward has the original's attachments already"
    )
    graph_forward_attachments_max: int = Field(
        default=0, ge=0, description="the draft of a forward has at most so many of the original's attachments; 0 = all"
    )
    graph_attachments_page: int = Field(default=1000, ge=1, description="attachments in one page of their list")
    meeting_reads: int = Field(
        default=0,
        ge=-1,
        description="reads of a new event before its online meeting has an address, at both providers; -1 = never",
    )
    graph_sends_per_minute: int = Field(
        default=0, ge=0, description="sends per mailbox before 429; Exchange Online's value 30; 0 = no limit"
    )
    graph_message_bytes_max: int = Field(default=36_700_160, description="a mailbox's maximum size of a sent mail")
    upload_session_seconds: int = Field(default=3600, description="life of an upload session, which no piece extends")
    upload_ranges: Literal["start", "span"] = Field(
        default="start", description="spelling of nextExpectedRanges after a piece: 2097152 or 2097152-4095999"
    )
    gmail_message_ids: Literal["kept", "rewritten"] = Field(
        default="rewritten", description="whether a mail that Gmail sends keeps the Message-ID that its client gave"
    )
    gmail_sent_draft_ids: Literal["kept", "changed"] = Field(
        default="changed", description="whether the sent mail has the id of the draft's last message"
    )
    gmail_foreign_from: Literal["replaced", "refused"] = Field(
        default="replaced", description="the fate of a mail whose From is no accepted address of the account"
    )
    gmail_sends_per_day: int = Field(
        default=0, ge=0, description="sends per mailbox in 24 hours before 429; real value 2000; 0 = no limit"
    )

    subscription_max_minutes: int = Field(default=10080, description="longest life of a Graph subscription")
    subscription_min_minutes: int = Field(default=45, description="a shorter request gets this life, and no error")
    subscription_over_max: Literal["reject", "cap"] = Field(
        default="reject", description="how a longer request is answered"
    )
    subscription_max_minutes_with_data: int = Field(
        default=1440, description="longest life of a Graph subscription with resource data"
    )
    graph_proof_version: Literal["1.0", "2.0"] = Field(
        default="2.0", description="version of the tokens that prove notifications with resource data"
    )
    subscriptions_per_mailbox: int = Field(default=1000, description="403 beyond it")
    validation_timeout_seconds: float = Field(
        default=10.0, description="how long a notification URL may take to echo the token"
    )
    graph_calendar_subscriptions: Literal["every", "default"] = Field(
        default="every",
        description="whether an account's other calendars can be subscribed to, which is not documented",
    )
    allow_http_loopback: bool = Field(
        default=True, description="accept http:// notification URLs on loopback addresses"
    )

    notification_batch_max: int = Field(default=20, ge=1, description="items in one Graph notification POST")
    notification_batch_wait_seconds: float = Field(
        default=0.0, ge=0, description="time for which an item waits so that others can join its POST"
    )
    push_concurrency: int = Field(default=16, ge=1, description="POSTs at once per notification URL")
    push_timeout_seconds: float = Field(
        default=3.0,
        description="Graph's timeout for the first attempt; the timeout for retries and that of Pub/Sub are below",
    )
    push_retry_timeout_seconds: float = Field(default=10.0, description="Graph's timeout for a retry")
    pubsub_ack_deadline_seconds: float = Field(
        default=10.0, description="Pub/Sub's timeout of a push, and the life of an ack id of a pulled message"
    )
    pubsub_pull_wait_seconds: float = Field(
        default=2.0, ge=0, description="how long a pull waits for messages; the real bound is not documented"
    )
    push_retry_first_seconds: float = Field(
        default=1.0, description="wait before the first retry of a push; doubles with each retry"
    )
    push_retry_max_seconds: float = Field(default=60.0, description="longest wait between retries")
    push_retry_for_seconds: float = Field(default=4 * 3600.0, description="Graph gives a notification up after this")
    pubsub_retention_seconds: float = Field(default=7 * 86400.0, description="Pub/Sub gives a message up after this")
    push_pending_max: int = Field(
        default=200_000, description="notifications waiting per URL; those beyond are dropped and counted"
    )

    gmail_max_events_per_second: float = Field(
        default=0.0, ge=0, description="per user, surplus dropped; real value 1; 0 = no limit"
    )
    watch_seconds: int = Field(default=7 * 86400, description="life of a Gmail watch")
    channel_seconds: int = Field(default=7 * 86400, description="longest life of a Google Calendar channel")
    history_seconds: int = Field(default=7 * 86400, description="how long history records are kept")
    history_records_max: int = Field(default=200_000, description="history records kept per mailbox")
    pubsub_history_id: Literal["number", "string"] = Field(
        default="number", description="spelling of historyId in a push"
    )
    pubsub_base64: Literal["standard", "url"] = Field(default="standard", description="alphabet of data in a push")
    gmail_header_words: Literal["decoded", "encoded"] = Field(
        default="decoded", description="how Gmail gives encoded words of header fields"
    )
    gmail_body_charset: Literal["utf-8", "original"] = Field(
        default="utf-8", description="charset of text bodies served by Gmail"
    )
    gmail_inline_bytes: int = Field(
        default=1_000, ge=0, description="attachments of text up to this size stand in the message, without an id"
    )
    gmail_attachment_id_seconds: float = Field(
        default=300.0, ge=0, description="life of an attachment's id, which is short and not documented; 0 = no end"
    )
    gmail_held_back_bytes: int = Field(
        default=1_000_000, ge=0, description="text bodies larger than this are served as attachments"
    )

    graph_resource_spelling: Literal["plain", "lower", "quoted", "mixed"] = Field(
        default="mixed", description="how notifications spell the resource path"
    )
    graph_deleted_etag: bool = Field(default=True, description="deleted notifications carry an etag")
    graph_echo_updates: int = Field(
        default=0, ge=0, description="spurious updated notifications after each created one"
    )
    delta_page_size: int = Field(
        default=10, ge=1, description="default page of a delta query; odata.maxpagesize overrides"
    )
