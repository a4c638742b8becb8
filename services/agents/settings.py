"""The settings of the door of agents."""

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from services.meshkit.edge_channel import check_edge
from services.meshkit.secret import Secret
from services.meshkit.settings import ProcessSettings


class AgentsSettings(ProcessSettings):
    """Settings of the door of agents."""

    model_config = SettingsConfigDict(env_prefix="MAILMESH_AGENTS_")

    listen: str = Field(
        "127.0.0.1:7106", description="Where the edge reaches the door: host:port.", pattern=r"^.+:\d{1,5}$"
    )
    edge: str = Field(
        "http://127.0.0.1:8080",
        description="The edge, which the door calls with the caller's key: `https://`, or `http://` on loopback.",
        pattern=r"^https?://[^/]+$",
    )
    edge_ca: Path | None = Field(
        None, description="Authorities of the edge's certificate instead of the system's, PEM."
    )
    confirmation_key: Secret | None = Field(
        None,
        description=(
            "Signs the confirmations of acting tools. Processes that serve the same agents need the same one. Empty: a "
            "random one for each process."
        ),
    )
    confirmation_seconds: int = Field(
        600, ge=30, le=3600, description="Time within which an acting tool must be called again with its confirmation."
    )
    call_seconds: float = Field(30.0, ge=1, le=120, description="Longest duration of a call behind a tool.")
    calls: int = Field(
        50, ge=1, le=1000, description="Concurrent calls of tools in one process; further ones get `OVERLOADED`."
    )
    calls_per_key: int = Field(
        16, ge=1, le=1000, description="Concurrent calls of tools by one API key in one process."
    )

    @field_validator("edge")
    @classmethod
    def _hides_keys(cls, edge: str) -> str:
        """Refuse an edge to which the callers' keys would travel in plain text."""
        return check_edge(edge)
