"""The settings of Processor, of its server and of its workers."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.meshkit.settings import CommaSeparated, env
from services.processor.mailbox_settings import MailboxSettings


class ProcessorSettings(MailboxSettings):
    """Settings of Processor. Server and workers read the same ones."""

    model_config = SettingsConfigDict(env_prefix="MAILMESH_PROCESSOR_")

    primitives_address: str = env(
        "MAILMESH_PRIMITIVES_ADDRESS",
        "",
        description="Primitives' mesh port, host:port, for labels on arrival. Without it nothing is classified.",
    )

    content_bytes: int = Field(
        25 * 1024 * 1024,
        ge=4096,
        le=60 * 1024 * 1024,
        description="The largest mail or attachment that is fetched for Primitives, bytes.",
    )
    contents: int = Field(
        4,
        ge=1,
        le=64,
        description="Mails and attachments in memory for Primitives, in one process; further calls get `OVERLOADED`.",
    )
    model_url: str = Field(
        "",
        max_length=2048,
        description=(
            "The base address of a server of the OpenAI form, for tenants that allow the named model: "
            "http://127.0.0.1:11434/v1, https://... Texts stay on this machine if its host is a loopback "
            "address in digits. Empty: there is no named model."
        ),
    )
    model_name: str = Field("", max_length=200, description="The name of the model at this server.")
    model_key_file: Path | None = Field(None, description="A file that contains the key for this server.")
    model_ca: Path | None = Field(
        None, description="A certificate authority to trust beside the system's when calling this server, PEM."
    )
    model_networks: CommaSeparated = Field(
        (),
        description=(
            "Networks of the operator's own that this server may be in although they are not public, and by plain "
            "HTTP: 10.1.0.0/16, ... Empty: public addresses only, and the loopback address of `_MODEL_URL`."
        ),
    )
    model_seconds: float = Field(
        30.0, ge=1, le=50, description="Longest time for one question to the model, with its retries, seconds."
    )
    model_attempts: int = Field(2, ge=1, le=5, description="Attempts at one question.")
    model_calls: int = Field(
        8, ge=1, le=256, description="Concurrent questions in one process; further calls get `OVERLOADED`."
    )
    model_calls_per_key: int = Field(4, ge=1, le=256, description="Those of one API key in one process.")
    model_tokens_per_day: int = Field(
        1_000_000,
        ge=1000,
        le=1_000_000_000_000,
        description="Tokens that each tenant may spend at the model on a day, UTC.",
    )
    contents_per_key: int = Field(2, ge=1, le=64, description="Those of one API key in one process.")

    sends_per_minute: int = Field(
        30, ge=1, le=10_000, description="Mails that one account sends in a minute; Exchange Online permits 30."
    )
    sends_waiting: int = Field(
        10_000, ge=1, le=1_000_000, description="Largest number of unfinished sends of a tenant."
    )
    upload_bytes: int = Field(
        256 * 1024 * 1024,
        ge=1024 * 1024,
        le=1024**4,
        description="Largest size of a tenant's uploaded files together, in bytes.",
    )
    send_memory_bytes: int = Field(
        32 * 1024 * 1024,
        ge=25 * 1024 * 1024,
        le=64 * 1024**3,
        description=(
            "Largest size of the files that one worker prepares for mails at a time, in bytes; a mail needs about "
            "twelve times its files of memory while it is written. Further mails with files wait."
        ),
    )
    tenant_kept_bytes: int = Field(
        1024**3,
        ge=1024 * 1024,
        le=1024**4,
        description=(
            "Largest size of a tenant's sends, uploads and modifications together, waiting and ended, in bytes; each "
            "counts a kibibyte besides its content."
        ),
    )
    key_kept_bytes: int = Field(
        16 * 1024**3,
        ge=1024 * 1024,
        le=1024**4,
        description="The same bound for everything that one API key has submitted, for all of its tenants together.",
    )
    send_attempts: int = Field(
        20, ge=1, le=1000, description="Failed attempts to prepare a mail after which its send fails."
    )
    send_deadline_seconds: int = Field(
        86400,
        ge=60,
        le=2_592_000,
        description="Time from when a mail may be sent until its send fails or, once submitted, becomes uncertain.",
    )
    send_settle_seconds: float = Field(
        300.0,
        gt=0,
        le=86400,
        description=(
            "Time after a submission without an answer until a draft that is still there is sent again, or a mail that "
            "is not found becomes uncertain."
        ),
    )
    send_copy_seconds: float = Field(
        120.0,
        ge=0,
        le=86400,
        description="Time for which the sent copy of an accepted mail is looked up before its send ends without it.",
    )
    send_submissions: int = Field(
        3, ge=1, le=100, description="Largest number of times that one draft is submitted before its send is uncertain."
    )

    backfill_days: int = Field(366, ge=1, le=36_500, description="Longest time back to which a backfill may reach.")
    backfill_messages: int = Field(
        100_000, ge=1, le=100_000_000, description="Number of mails after which a backfill ends before its beginning."
    )
    graph_requests_per_10_minutes: int = Field(
        10_000,
        ge=10,
        le=100_000_000,
        description="Requests that Microsoft Graph permits for one mailbox; a backfill makes half of them at most.",
    )

    modifications_waiting: int = Field(
        1000, ge=1, le=100_000, description="Largest number of unfinished modifications of a tenant."
    )
    modification_deadline_seconds: int = Field(
        86400,
        ge=60,
        le=2_592_000,
        description="Time within which a modification is tried; its remaining mails are expired then.",
    )

    calendar_poll_seconds: float = Field(
        60.0, gt=0, le=86400, description="Interval between readings of the changes of a followed calendar."
    )
    calendar_pushed_poll_seconds: float = Field(
        1800.0,
        gt=0,
        le=604_800,
        description="The same interval while the provider pushes the calendar's changes, since pushes get lost.",
    )
    calendar_push_pause_seconds: float = Field(
        2.0,
        ge=0,
        le=600,
        description="Shortest time between two readings of a calendar that pushes cause: pushes come in bursts.",
    )
    calendar_listing_seconds: float = Field(
        900.0,
        gt=0,
        le=86400,
        description=(
            "Interval between readings of a followed calendar where the provider refuses to list changes, so that the "
            "whole calendar is read."
        ),
    )
    calendar_round_seconds: float = Field(
        86400.0,
        gt=0,
        le=2_592_000,
        description="Interval between complete readings of a followed calendar, which find deletions without a notice.",
    )
    calendar_list_seconds: float = Field(
        900.0,
        gt=0,
        le=86400,
        description="Interval between readings of the list of calendars of an account with a followed calendar.",
    )

    calendar_writes_waiting: int = Field(
        1000, ge=1, le=100_000, description="Largest number of unfinished writes to the calendars of a tenant."
    )
    calendar_write_deadline_seconds: int = Field(
        86400,
        ge=60,
        le=2_592_000,
        description="Time until a write to a calendar fails or, once submitted, becomes uncertain.",
    )
    calendar_write_settle_seconds: float = Field(
        60.0,
        gt=0,
        le=86400,
        description=(
            "Time after a submission to a calendar without an answer until a change that is not found is submitted "
            "again; it doubles with each failure."
        ),
    )
    calendar_meeting_seconds: float = Field(
        300.0, gt=0, le=86400, description="Time for which a new event is asked for the address of its online meeting."
    )

    reads: int = Field(
        64, ge=1, le=1000, description="Largest number of concurrent calls of one process that read from providers."
    )
    reads_per_tenant: int = Field(
        16, ge=1, le=1000, description="Largest number of these calls for one tenant; one of them at a time is served."
    )
    reads_per_key: int = Field(
        32, ge=1, le=1000, description="Largest number of these calls of one API key, for all of its tenants together."
    )
    read_units_per_minute: int = Field(
        1200,
        ge=100,
        le=1_000_000,
        description="Quota units of a Gmail mailbox that these calls of one process use in a minute; a mail takes 20.",
    )

    retention_days: int = Field(30, ge=1, le=3650, description="Time for which events are stored and served.")
    streams: int = Field(
        1000, ge=1, le=10_000, description="Largest number of concurrent event streams of one process."
    )
    streams_per_key: int = Field(
        600, ge=1, le=10_000, description="Largest number of concurrent event streams of one API key in one process."
    )
    searches: int = Field(8, ge=1, le=100, description="Largest number of concurrent searches of one process.")
    searches_per_key: int = Field(
        4, ge=1, le=100, description="Largest number of concurrent searches of one API key in one process."
    )
    replays: int = Field(8, ge=1, le=100, description="Largest number of concurrent replays of one process.")
    replays_per_key: int = Field(
        4, ge=1, le=100, description="Largest number of concurrent replays of one API key in one process."
    )
    replay_bytes_per_day: int = Field(
        4 * 1024**3,
        ge=1024 * 1024,
        le=1024**4,
        description=(
            "Largest size of the events that one API key replays in a day, in bytes; each replay counts 64 KiB besides."
        ),
    )
    slow_reader_seconds: float = Field(
        30.0,
        gt=0,
        le=600,
        description="Longest time for the reader of a stream or download to accept one event or piece.",
    )
