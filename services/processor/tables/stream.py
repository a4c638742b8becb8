"""The tables of the stream, and of the tenants that Processor follows.

tenants     the tenants, as TokenVault's log describes them
followed    the cursors of followed logs
stream      the lanes of publishers, each with its head; the first also has the epoch, the oldest position kept, and the
            key that seals cursors
events      the published events, in partitions by day, dropped by retention
event_keys  the keys that make events unique
replays     requested copies and their progress
sealed_tenants  the tenants whose content is sealed
features    the features in use that not every release knows
"""

from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, SmallInteger, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from services.meshkit.columns import ID, TIME, required
from services.processor.tables.schema import metadata

tenants = Table(
    "tenants",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("provider", Text()),
    required("external_tenant_id", Text()),
    required("user_id", Text()),
    required("status", Text()),
    required("change_number", BigInteger()),
    required("changed_at", TIME),
    required("granted_abilities", ARRAY(Text())),
)

followed = Table(
    "followed",
    metadata,
    required("name", Text(), primary_key=True),
    required("cursor", Text()),
    required("updated_at", TIME),
)

stream = Table(
    "stream",
    metadata,
    required("id", SmallInteger(), primary_key=True),
    required("epoch", LargeBinary()),
    required("head", BigInteger()),
    Column("head_event_id", ID),
    required("floor", BigInteger()),
    Column("floor_event_id", ID),
    required("floor_raised_at", TIME),
    Column("cursor_key", LargeBinary()),
)

events = Table(
    "events",
    metadata,
    required("position", BigInteger(), primary_key=True),
    required("event_id", ID),
    required("tenant_id", ID),
    required("provider", Text()),
    required("event_type", Text()),
    required("kind", SmallInteger()),
    required("received_at", TIME),
    Column("replay_id", ID),
    Column("original_event_id", ID),
    required("basic_size", Integer()),
    required("body_size", Integer()),
    required("raw_size", Integer()),
    required("basic", LargeBinary()),
    required("body", LargeBinary()),
    required("raw", LargeBinary()),
)

event_keys = Table(
    "event_keys",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("digest", LargeBinary(), primary_key=True),
    required("event_id", ID),
    required("is_permanent", Boolean()),
    required("published_at", TIME),
)

replays = Table(
    "replays",
    metadata,
    required("replay_id", ID, primary_key=True),
    required("key_id", Text()),
    Column("request_id", ID),
    required("request_digest", LargeBinary()),
    required("start_position", BigInteger()),
    Column("start_event_id", ID),
    required("done_position", BigInteger()),
    required("end_position", BigInteger()),
    required("matched", BigInteger()),
    required("appended", BigInteger()),
    required("created_at", TIME),
    required("bytes", BigInteger()),
)

sealed_tenants = Table(
    "sealed_tenants",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("is_enabled", Boolean()),
    required("version", BigInteger()),
    required("enabled_at", TIME),
    required("position", BigInteger()),
    required("is_complete", Boolean()),
    required("sealed", BigInteger()),
)

features = Table(
    "features",
    metadata,
    required("name", Text(), primary_key=True),
    required("used_since", TIME),
)

erased_tenants = Table(
    "erased_tenants",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("begun_at", TIME),
    required("removed", JSONB()),
)

erased_persons = Table(
    "erased_persons",
    metadata,
    required("erasure_id", ID, primary_key=True),
    required("tenant_id", ID),
    required("removed", JSONB()),
    required("cut_off_at", TIME),
    required("bounds", JSONB()),
    required("step", Integer()),
    required("step_at", TIME),
    Column("reached", ARRAY(Text())),
    required("checked", BigInteger()),
    Column("holder", ID),
    Column("leased_until", TIME),
    Column("finished_at", TIME),
)

erasure_secrets = Table(
    "erasure_secrets",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("inner_pad", LargeBinary()),
    required("outer_pad", LargeBinary()),
)
