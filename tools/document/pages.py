"""The pages of docs/reference, each made from where its matter is defined."""

import re
from collections.abc import Callable, Iterator

from gateway.settings import EdgeSettings
from services.ingest.settings import IngestSettings
from services.meshkit.settings import EnvironmentSettings, MeshSettings, reference
from services.processor.settings import ProcessorSettings
from services.token_vault.settings import VaultSettings
from tools import contract
from tools.document import observability

_NOTE = "<!-- Made by `make gen`; never edited. -->\n"
_ABOUT_SETTINGS = """\
Programs read their environment and nothing else. A program that lacks something names every fault at once and ends.
`mailmesh up` sets all of this by itself.
"""
_ABOUT_ERRORS = """\
A failed call ends with a `google.rpc.Status`; over HTTP it is the JSON body. Its details hold a `google.rpc.ErrorInfo`
with domain `mailmesh`, one of these reasons, and the metadata named in the last column. Beside it there is a
`BadRequest` that names each wrong field, a `PreconditionFailure`, or a `RetryInfo` that says when to come again, where
the code calls for one. Decide by `reason`; the message is for people and may change.
"""
_ABOUT_EVENTS = """\
Names are those of the JSON form. The fields mean the same for both providers; the comment says where each comes from.
Fields may be added: pass over what you do not know.
"""
_OWN: dict[str, type[EnvironmentSettings]] = {
    "TokenVault": VaultSettings,
    "Ingest": IngestSettings,
    "Processor": ProcessorSettings,
    "The edge": EdgeSettings,
}
_EVENT = (
    "mail.v1.NormalizedMailEvent",
    "mail.v1.MailMessage",
    "mail.v1.Address",
    "mail.v1.Attachment",
    "mail.v1.Thread",
)


def settings() -> str:
    """Every environment variable that a program of the mesh reads."""
    common = reference(MeshSettings)
    known = set(common.splitlines()[2:])
    parts = [
        "# Settings\n",
        _NOTE,
        _ABOUT_SETTINGS,
        f"## Common to TokenVault, Ingest and Processor\n\n{common}",
    ]
    for name, settings_class in _OWN.items():
        rows = reference(settings_class).splitlines()
        own = [*rows[:2], *(row for row in rows[2:] if row not in known)]
        parts.append(f"## {name}\n\n" + "\n".join(own) + "\n")
    return "\n".join(parts)


def errors() -> str:
    """The catalogue of failures."""
    rows = [
        f"| `{item.name}` | {item.code} | {item.when} | {item.remedy} | {_keys(item)} |" for item in contract.reasons()
    ]
    return "\n".join(
        (
            "# Failures\n",
            _NOTE,
            _ABOUT_ERRORS,
            "| reason | gRPC code | when | what to do | metadata |",
            "|---|---|---|---|---|",
            *rows,
            "",
        )
    )


def event() -> str:
    """The fields of an event, with where each comes from at either provider."""
    parts = [
        "# The event\n",
        _NOTE,
        _ABOUT_EVENTS,
    ]
    known = {item.name: item for item in contract.named()}
    for name in _EVENT:
        message = known[f"mailmesh.{name}"]
        parts.append(f"## {name.rpartition('.')[2]}\n\n{_flat(message.comment)}\n")
        parts.append("\n".join(("| field | meaning |", "|---|---|", *_rows(message.name, known), "")))
    return "\n".join(parts)


def _rows(message: str, known: dict[str, contract.Named]) -> Iterator[str]:
    for item in known.values():
        if item.kind == "field" and item.name.rpartition(".")[0] == message:
            yield f"| `{_json_name(item.name)}` | {_flat(item.comment)} |"


def _json_name(name: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name.rpartition(".")[2])


def _flat(comment: str) -> str:
    return " ".join(comment.split()).replace("|", "\\|")


def _keys(item: contract.Reason) -> str:
    return ", ".join(f"`{key}`" for key in item.sample["metadata"])


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings,
    "errors.md": errors,
    "event.md": event,
    "observability.md": observability.page,
}
