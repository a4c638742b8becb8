"""The common parts of Office documents (OOXML): relationships, facts about the document, macros, files within."""

import posixpath

from services.primitives.documents.archive import Archive
from services.primitives.documents.extracted import EMBEDDED_FILES, EXTERNAL_LINKS, MACROS, Extracted
from services.primitives.documents.xml import events

_FACTS = frozenset(("title", "creator", "subject", "keywords", "description", "lastModifiedBy", "created", "modified"))


def relations(archive: Archive, place: str) -> dict[str, tuple[str, str]]:
    """Return the relationships of a part: kind and place by id. Those to the outside are left out.

    Args:
        archive: The document.
        place: The name of the part.
    """
    folder, name = posixpath.split(place)
    rels = f"{folder}/_rels/{name}.rels"
    found: dict[str, tuple[str, str]] = {}
    for event in events(archive.chunks(rels)) if rels in archive else ():
        if event.kind == "begin" and event.name == "Relationship" and event.get("TargetMode") != "External":
            target = event.get("Target")
            whole = target.lstrip("/") if target.startswith("/") else posixpath.normpath(f"{folder}/{target}")
            found[event.get("Id")] = (event.get("Type").rpartition("/")[2], whole)
    return found


def read_facts(archive: Archive, extracted: Extracted) -> None:
    """Read the facts that the document states of itself, and its flags."""
    name = ""
    for event in events(archive.chunks("docProps/core.xml")) if "docProps/core.xml" in archive else ():
        if event.kind == "text" and name in _FACTS:
            extracted.fact(name, event.name)
        name = event.name if event.kind == "begin" else ""
    if any(name.endswith("vbaProject.bin") for name in archive.names):
        extracted.flags.add(MACROS)
    if any("/embeddings/" in name for name in archive.names):
        extracted.flags.add(EMBEDDED_FILES)
    if any(_has_external(archive, name) for name in archive.names if name.endswith(".rels")):
        extracted.flags.add(EXTERNAL_LINKS)


def _has_external(archive: Archive, name: str) -> bool:
    """Tell whether opening the document would fetch something. A hyperlink waits for a click, and does not count."""
    return any(
        event.get("TargetMode") == "External" and not event.get("Type").endswith("/hyperlink")
        for event in events(archive.chunks(name))
        if event.kind == "begin" and event.name == "Relationship"
    )
