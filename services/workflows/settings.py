"""The settings of Workflows."""

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_settings import SettingsConfigDict

from services.meshkit.edge_channel import check_edge
from services.meshkit.secret import Secret
from services.meshkit.settings import CommaSeparated, MeshSettings

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


def _pairs(value: tuple[str, ...]) -> tuple[str, ...]:
    names = [part.partition("=")[0] for part in value]
    if len(set(names)) != len(names):
        raise ValueError("names a workflow twice")
    for part in value:
        name, equals, rest = part.partition("=")
        if not _NAME.fullmatch(name) or not equals or not rest:
            raise ValueError("needs entries name=value; a name has lower-case letters, digits, - and _")
    return value


Pairs = Annotated[CommaSeparated, AfterValidator(_pairs)]


class WorkflowsSettings(MeshSettings):
    """Settings of Workflows."""

    model_config = SettingsConfigDict(env_prefix="MAILMESH_WORKFLOWS_")

    graphs: Pairs = Field(
        (),
        description=(
            "The workflows: `name=module:attribute`, separated by commas. The attribute is a StateGraph of LangGraph, "
            "not compiled, in a package that is installed beside mailmesh. Empty: none."
        ),
    )
    starts: Pairs = Field(
        (),
        description=(
            "The events that start runs: `name=mail.created+mail.enriched`, separated by commas; `mail.*` means all "
            "types of a kind. Events of workflows start no runs. A workflow without an entry is started by calls only."
        ),
    )
    keys: Secret | None = Field(
        None,
        description=(
            "Keys that seal the states of runs, their questions and answers: `id:base64` of 32 random bytes, separated "
            "by commas. The first seals; the others open."
        ),
    )
    keys_file: Path | None = Field(None, description="The same keys in a file, one entry a line.")
    edge: str = Field(
        "http://127.0.0.1:8080",
        description="The edge, which steps call with the API key: `https://`, or `http://` on loopback.",
        pattern=r"^https?://[^/]+$",
    )
    edge_ca: Path | None = Field(
        None, description="Authorities of the edge's certificate instead of the system's, PEM."
    )
    api_key: Secret | None = Field(
        None,
        description="The API key with which steps call the edge. Its role, tenants and abilities bound the workflows.",
    )
    api_key_file: Path | None = Field(
        None, description="The same key in a file, which is read for each call, so that a new key needs no restart."
    )
    connections: int = Field(
        16, ge=2, le=200, description="Largest number of connections to PostgreSQL of one process."
    )
    queued: int = Field(
        10_000,
        ge=200,
        le=1_000_000,
        description="Runs that wait for their turn; later events stay in the event stream.",
    )
    runs_at_once: int = Field(16, ge=1, le=1000, description="Runs whose steps one process runs at a time.")
    attempts: int = Field(
        5, ge=1, le=100, description="Attempts from one completed step to the next, before a run fails."
    )
    attempt_seconds: float = Field(
        300.0, ge=1, le=3600, description="Longest duration of one attempt, which may have several steps."
    )
    run_seconds: float = Field(
        3600.0, ge=1, le=30 * 86400, description="Longest duration from a start or an answer to the end or a question."
    )
    wait_seconds: float = Field(
        7 * 86400.0, ge=1, le=365 * 86400, description="Longest time for which a run waits for a person's answer."
    )
    lease_seconds: float = Field(
        15.0, ge=1, le=600, description="Duration of a lease on a run; it is extended while the process lives."
    )
    retention_days: int = Field(
        60,
        ge=1,
        le=3650,
        description=(
            "Days for which ended runs are kept. Keep it above `MAILMESH_PROCESSOR_RETENTION_DAYS`, so that an event "
            "whose run is forgotten cannot come back."
        ),
    )

    @model_validator(mode="after")
    def _hides_key(self) -> Self:
        """Refuse an edge to which the key would travel in plain text. Without workflows there is no call."""
        if self.graphs:
            check_edge(self.edge)
        return self
