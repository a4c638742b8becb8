"""Settings: typed, frozen, from the environment and nowhere else, with all faults reported at once.

A service's settings are one flat class. Its own fields take the class's prefix; fields that several programs share name
their variable with `env`:

    class EchoSettings(MeshSettings):
        model_config = SettingsConfigDict(env_prefix="MAILMESH_ECHO_")

        greeting: str = Field("hello", description="What to say.")              # MAILMESH_ECHO_GREETING
        client_secret: Secret = env("MAILMESH_ACME_CLIENT_SECRET", description="Acme's secret.")

    settings = load(EchoSettings)
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import BeforeValidator, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from services.meshkit.secret import Secret

_Settings = TypeVar("_Settings", bound="EnvironmentSettings")


class SettingsError(Exception):
    """The environment does not hold what the program needs; one line per fault.

    Args:
        faults: Sentences that begin with the name of a variable. No value is repeated in them.
    """

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(("The settings are not complete:", *(f"  {fault}" for fault in self.faults))))


class EnvironmentSettings(BaseSettings):
    """Settings that come from environment variables alone and never change.

    An empty variable counts as one that is not set.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        populate_by_name=True,
        hide_input_in_errors=True,
        env_prefix="MAILMESH_",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave only what a test hands in and the environment."""
        del settings_cls, dotenv_settings, file_secret_settings
        return init_settings, env_settings


def env(variable: str, default: Any = ..., *, description: str, **constraints: Any) -> Any:
    """A field with a variable of its own instead of the class's prefix.

    Args:
        variable: The whole name of the environment variable.
        default: Its value when the variable is not set. Left out: it must be set.
        description: Its meaning, for the reference and for the message when it is missing.
        constraints: As for pydantic's `Field` (`ge=1`, `pattern=...`).
    """
    return Field(default, validation_alias=variable, description=description, **constraints)


def _split(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""A list in one variable: `a, b,c`."""


class LogSettings(EnvironmentSettings):
    """Settings of every process."""

    log_level: str = env(
        "MAILMESH_LOG_LEVEL",
        "info",
        description="debug, info, warning or error.",
        pattern=r"^(debug|info|warning|error)$",
    )


class ProcessSettings(LogSettings):
    """Settings of every process that serves or is called in the mesh."""

    health_listen: str = env(
        "MAILMESH_HEALTH_LISTEN",
        "",
        description="Where an orchestrator probes by plain HTTP, GET /live and GET /ready: host:port. Empty: nowhere.",
        pattern=r"^(|.+:\d{1,5})$",
    )
    tls_cert: Path = env("MAILMESH_TLS_CERT", description="This process's mesh certificate with its chain, PEM.")
    tls_key: Path = env("MAILMESH_TLS_KEY", description="The key of that certificate, PEM.")
    tls_ca: Path = env("MAILMESH_TLS_CA", description="The certificate authority of the mesh, PEM.")


class StoreSettings(LogSettings):
    """Settings of a command that only touches the database, such as a migration."""

    database_url: Secret = env(
        "MAILMESH_DATABASE_URL",
        description="PostgreSQL: postgresql://user:password@host:port/name, ?host=/folder for a unix socket.",
    )


class ServerSettings(ProcessSettings):
    """Settings of every serving process of the mesh, one without a database too."""

    listen: str = env(
        "MAILMESH_LISTEN",
        "127.0.0.1:0",
        description="Where the mesh port is: host:port, or unix:/path. Port 0 takes a free one.",
        pattern=r"^(unix:/.+|.+:\d{1,5})$",
    )
    metrics_listen: str = env(
        "MAILMESH_METRICS_LISTEN",
        "",
        description="Where Prometheus reads: host:port. Empty: nowhere.",
        pattern=r"^(|.+:\d{1,5})$",
    )
    otlp_endpoint: str = env(
        "MAILMESH_OTLP_ENDPOINT",
        "",
        description="Where traces are sent, OTLP over gRPC: http://host:4317. Empty: nowhere.",
    )


class MeshSettings(ServerSettings, StoreSettings):
    """Settings of a serving process of the mesh that has a database and calls other services."""

    redis_url: Secret | None = env(
        "MAILMESH_REDIS_URL", None, description="Redis, for wake-ups. Without it work is found by looking."
    )
    public_url: str = env(
        "MAILMESH_PUBLIC_URL",
        "",
        description="Where the outside reaches the edge: https://mesh.example.com. Empty: nowhere.",
        pattern=r"^(|https?://[^/]+)$",
    )
    token_vault_address: str = env(
        "MAILMESH_TOKEN_VAULT_ADDRESS", "127.0.0.1:7101", description="The mesh port of TokenVault."
    )
    ingest_address: str = env("MAILMESH_INGEST_ADDRESS", "127.0.0.1:7102", description="The mesh port of Ingest.")
    processor_address: str = env(
        "MAILMESH_PROCESSOR_ADDRESS", "127.0.0.1:7103", description="The mesh port of Processor."
    )
    provider_ca: Path | None = env(
        "MAILMESH_PROVIDER_CA",
        None,
        description="A certificate authority to trust beside the system's when calling providers, PEM.",
    )


def load(settings_class: type[_Settings], **overrides: Any) -> _Settings:
    """Read the environment.

    Args:
        settings_class: The class of the settings to read.
        overrides: Values by field name that win over the environment.

    Returns:
        The settings, frozen.

    Raises:
        SettingsError: With every fault, not only the first one.
    """
    try:
        return settings_class(**overrides)
    except ValidationError as exc:
        raise SettingsError(_fault(settings_class, error) for error in exc.errors()) from None
    except SourceError as exc:
        raise SettingsError([str(exc)]) from None


def variables(settings_class: type[EnvironmentSettings]) -> dict[str, str]:
    """The environment variable of each field."""
    return {name: _variable(settings_class, name, field) for name, field in settings_class.model_fields.items()}


def reference(settings_class: type[EnvironmentSettings]) -> str:
    """Render the settings as a Markdown table: name, type, default, description."""
    lines = ["| variable | type | default | meaning |", "|---|---|---|---|"]
    for name, field in settings_class.model_fields.items():
        variable = _variable(settings_class, name, field)
        lines.append(f"| `{variable}` | {_type(field)} | {_default(field)} | {field.description or ''} |")
    return "\n".join(lines) + "\n"


def _variable(settings_class: type[EnvironmentSettings], name: str, field: FieldInfo) -> str:
    if isinstance(field.validation_alias, str):
        return field.validation_alias
    return f"{settings_class.model_config.get('env_prefix', '')}{name}".upper()


def _fault(settings_class: type[EnvironmentSettings], error: ErrorDetails) -> str:
    place = str(error["loc"][0]) if error["loc"] else ""
    named = variables(settings_class)
    field = next((name for name, variable in named.items() if place in (name, variable)), "")
    if not field:
        return f"{place or settings_class.__name__}: {error['msg']}"
    meaning = settings_class.model_fields[field].description or ""
    if error["type"] == "missing":
        return f"{named[field]} is not set. {meaning or 'It is required.'}"
    return f"{named[field]} cannot be used: {error['msg']}. {meaning}".rstrip()


def bounds(field: FieldInfo) -> dict[str, float]:
    """The bounds of a field by the names of pydantic's constraints: `ge`, `gt`, `le`, `lt`."""
    found = ((name, getattr(part, name, None)) for part in field.metadata for name in ("ge", "gt", "le", "lt"))
    return {name: value for name, value in found if value is not None}


def _type(field: FieldInfo) -> str:
    """The type in a word or two, with its bounds; that a field may be left out shows in its default."""
    choices = [choice for choice in get_args(field.annotation) or (field.annotation,) if choice is not type(None)]
    if get_origin(field.annotation) is tuple:
        return "list"
    name = " or ".join(str(getattr(choice, "__name__", choice)) for choice in choices)
    limits = bounds(field)
    words = {"ge": "{:.15g}", "gt": "above {:.15g}", "le": "to {:.15g}", "lt": "below {:.15g}"}
    return ", ".join((name, " ".join(words[bound].format(limits[bound]) for bound in limits))) if limits else name


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True, validated_data={})
    if default in (None, "", PydanticUndefined, ()):
        return ""
    return f"`{','.join(map(str, default))}`" if isinstance(default, tuple) else f"`{default}`"
