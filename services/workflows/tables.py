"""The tables of Workflows at the head of its migrations; a test compares the two.

runs                  one row for each workflow and event: state, question and answer (sealed), lease
checkpoints           the states of a run that has not ended, sealed
writes                results of steps that are not part of a checkpoint yet, sealed
notices               changes of runs that Processor has not published yet
positions             the place of each workflow's filter in the event stream
erased_tenants        marks of erased tenants, and the counts of their removed rows
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from services.meshkit.columns import ID, TIME, required

metadata = MetaData(schema="workflows")


def _of_run() -> ForeignKeyConstraint:
    columns = ["tenant_id", "run_id"]
    return ForeignKeyConstraint(columns, [f"workflows.runs.{name}" for name in columns], ondelete="CASCADE")


runs = Table(
    "runs",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("run_id", ID, primary_key=True),
    required("workflow", Text()),
    required("event_id", ID),
    required("state", SmallInteger()),
    required("reason", Text()),
    required("detail", Text()),
    required("attempts", Integer()),
    required("question_id", Text()),
    Column("sealed_question", LargeBinary()),
    Column("sealed_answer", LargeBinary()),
    required("revision", BigInteger()),
    required("created_at", TIME),
    required("updated_at", TIME),
    required("due_at", TIME),
    required("deadline_at", TIME),
    Column("finished_at", TIME),
    Column("lease_id", ID),
    Column("leased_until", TIME),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("run_id", ID, primary_key=True),
    required("namespace", Text(), primary_key=True),
    required("checkpoint_id", Text(), primary_key=True),
    required("parent_id", Text()),
    required("sealed", LargeBinary()),
    _of_run(),
)

writes = Table(
    "writes",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("run_id", ID, primary_key=True),
    required("namespace", Text(), primary_key=True),
    required("checkpoint_id", Text(), primary_key=True),
    required("task_id", Text(), primary_key=True),
    required("place", Integer(), primary_key=True),
    required("task_path", Text()),
    required("channel", Text()),
    required("sealed", LargeBinary()),
    _of_run(),
)

notices = Table(
    "notices",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("notice_id", ID, primary_key=True),
    Column("sequence", BigInteger(), Identity(always=True), nullable=False),
    required("content", LargeBinary()),
)

positions = Table("positions", metadata, required("workflow", Text(), primary_key=True), required("position", Text()))

erased_tenants = Table(
    "erased_tenants",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("begun_at", TIME),
    required("removed", JSONB()),
)
