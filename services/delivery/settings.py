"""The settings of Delivery."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import SettingsConfigDict

from services.meshkit.secret import Secret
from services.meshkit.settings import CommaSeparated, MeshSettings

_LONGEST_PAUSE_SECONDS = 7 * 86400


def _pauses(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value or not all(0 < float(part) <= _LONGEST_PAUSE_SECONDS for part in value):
        raise ValueError("needs pauses in seconds, each above 0 and up to a week")
    return value


class DeliverySettings(MeshSettings):
    """Settings of Delivery."""

    model_config = SettingsConfigDict(env_prefix="MAILMESH_DELIVERY_")

    keys: Secret | None = Field(
        None,
        description=(
            "Keys that seal the secrets of endpoints: `id:base64` of 32 random bytes, separated by commas. The first "
            "seals; the others open."
        ),
    )
    keys_file: Path | None = Field(None, description="The same keys in a file, one entry a line.")
    allowed_networks: CommaSeparated = Field(
        (),
        description=(
            "Networks of the operator's own that webhooks may reach although they are not public, and by plain HTTP: "
            "10.1.0.0/16, ... Empty: public addresses only."
        ),
    )
    refused_networks: CommaSeparated = Field(
        (),
        description=(
            "Networks that webhooks must not reach although they are public, such as the operator's own addresses. "
            "They take precedence over the allowed ones."
        ),
    )
    allowed_ports: CommaSeparated = Field(
        (), description="Ports that webhooks may be sent to: 443, 8443, ... Empty: any port."
    )
    receiver_ca: Path | None = Field(
        None, description="A certificate authority to trust beside the system's when calling receivers, PEM."
    )
    connections: int = Field(
        16, ge=2, le=200, description="Largest number of connections to PostgreSQL of one process."
    )
    endpoints: int = Field(1000, ge=1, le=100_000, description="Largest number of endpoints of the mesh.")
    endpoints_held: int = Field(
        1000, ge=1, le=10_000, description="Largest number of endpoints that one process delivers to."
    )
    requests: int = Field(
        200,
        ge=1,
        le=10_000,
        description="Concurrent requests of one process, beside one for each endpoint, which no other takes.",
    )
    waiting: int = Field(
        10_000,
        ge=100,
        le=1_000_000,
        description="Undelivered events in the queue of one endpoint; later ones stay in the event stream.",
    )
    lease_seconds: int = Field(
        30, ge=5, le=600, description="Duration of a lease on an endpoint; it is extended while the process lives."
    )
    grace_seconds: float = Field(
        10.0, ge=0, le=600, description="Time for which a stopping process waits for the answers of receivers."
    )
    retry_seconds: Annotated[CommaSeparated, AfterValidator(_pauses)] = Field(
        ("5", "300", "1800", "7200", "18000", "36000", "50400", "72000", "86400"),
        validate_default=True,
        description=(
            "Pauses between the attempts of one delivery, in seconds, each with jitter. After the last attempt the "
            "delivery is exhausted; it is kept 30 days."
        ),
    )
    failing_pause_seconds: float = Field(
        300.0,
        gt=0,
        le=3600,
        description="Longest pause between attempts at an endpoint that fails again and again, for whatever event.",
    )
    retry_after_seconds: float = Field(
        3600.0, ge=0, le=3600, description="Longest pause that a receiver can ask for by Retry-After."
    )
    disable_after_seconds: int = Field(
        5 * 86400, ge=60, description="Time without a success after which an endpoint that fails is disabled."
    )
    retention_days: int = Field(
        30, ge=1, le=3650, description="Days for which attempts and exhausted deliveries are kept."
    )
