"""The settings of Primitives."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.meshkit.settings import ServerSettings


class PrimitivesSettings(ServerSettings):
    """Settings of Primitives."""

    model_config = SettingsConfigDict(env_prefix="MAILMESH_PRIMITIVES_")

    content_bytes: int = Field(
        25 * 1024 * 1024, ge=4096, le=60 * 1024 * 1024, description="The largest mail or document, bytes."
    )
    calls: int = Field(
        16,
        ge=1,
        le=256,
        description="Concurrent calls in one process, those that wait for a reader too; further ones get `OVERLOADED`.",
    )
    calls_per_key: int = Field(4, ge=1, le=256, description="Concurrent calls of one API key in one process.")
    mail_processes: int = Field(2, ge=1, le=64, description="Processes without rights that parse mails.")
    mail_seconds: float = Field(
        20.0,
        ge=1,
        le=50,
        description="Longest time for one mail, seconds. The wait for a process before it may take as "
        "long; both take at most 55 seconds.",
    )
    document_processes: int = Field(
        2, ge=1, le=64, description="Processes without rights that read documents, each for one document."
    )
    document_seconds: float = Field(
        20.0,
        ge=1,
        le=50,
        description="Longest time for one document, seconds. The wait for a process before it may take as "
        "long; both take at most 55 seconds.",
    )
    cpu_seconds: float = Field(10.0, ge=1, le=50, description="Time of processor for one mail or document, seconds.")
    memory_bytes: int = Field(
        1024 * 1024 * 1024,
        ge=256 * 1024 * 1024,
        le=16 * 1024 * 1024 * 1024,
        description="Address space of each process without rights, bytes.",
    )
    text_processes: int = Field(1, ge=1, le=64, description="Processes without rights that classify texts.")
    text_seconds: float = Field(
        20.0,
        ge=1,
        le=50,
        description="Longest time for one text, seconds. The wait for a process before it may take as "
        "long; both take at most 55 seconds.",
    )
    model_characters: int = Field(
        60_000,
        ge=6000,
        le=1_000_000_000,
        description="Characters that the model reads in a minute for one API key, and for the arriving mail of one "
        "tenant, in one process.",
    )
    scan_processes: int = Field(
        1, ge=1, le=64, description="Processes without rights that read pictures of pages, each for one document."
    )
    scan_seconds: float = Field(
        30.0,
        ge=1,
        le=50,
        description="Longest time for the pictures of one document, of processor and by the clock; pages beyond it are "
        "left out. The whole call takes at most 55 seconds.",
    )
    scan_languages: str = Field(
        "eng",
        pattern=r"^[A-Za-z_]{2,20}(\+[A-Za-z_]{2,20}){0,7}$",
        description="The languages of pictures, as Tesseract names them: eng+deu+fra, ... Each one costs time.",
    )
    scan_data: Path | None = Field(
        None,
        description="The folder with the data of these languages (eng.traineddata, ...). Empty: those of the extra "
        "`ocr`, or of the system's package of Tesseract.",
    )
    sandbox_uid: int = Field(
        65534,
        ge=1,
        le=4_294_967_294,
        description="The user and group of the processes without rights where Primitives runs as root.",
    )
