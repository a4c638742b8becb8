"""Presentations (pptx): the text of each slide, its tables and its notes. Hidden slides are left out."""

from collections.abc import Iterable

from services.primitives.documents.archive import Archive
from services.primitives.documents.extracted import HIDDEN_TEXT, MAX_PAGES, Extracted
from services.primitives.documents.office import read_facts, relations
from services.primitives.documents.xml import Event, events

MAIN = "ppt/presentation.xml"


def read_slides(archive: Archive, extracted: Extracted) -> None:
    """Read a presentation."""
    read_facts(archive, extracted)
    places = relations(archive, MAIN)
    order = [event.relation for event in events(archive.chunks(MAIN)) if (event.kind, event.name) == ("begin", "sldId")]
    for number, relation in enumerate(order[:MAX_PAGES], 1):
        place = places.get(relation, ("", ""))[1]
        if place not in archive:
            continue
        slide = events(archive.chunks(place))
        first = next(slide)
        if first.get("show") in ("0", "false"):
            extracted.flags.add(HIDDEN_TEXT)
            continue
        with extracted.page(f"slide {number}"):
            _read(slide, extracted)
            notes = [target for kind, target in relations(archive, place).values() if kind == "notesSlide"]
            for target in notes[:1]:
                if target in archive:
                    _read(events(archive.chunks(target)), extracted)


def _read(slide: Iterable[Event], extracted: Extracted) -> None:
    reader = _Reader(extracted)
    for event in slide:
        if event.kind == "text":
            reader.take_text(event.name)
        elif event.kind == "begin":
            reader.begin(event.name)
        else:
            reader.end(event.name)


class _Reader:
    def __init__(self, extracted: Extracted) -> None:
        self._extracted = extracted
        self._text: list[str] = []
        self._rows: list[list[str]] = []
        self._is_text, self._is_cell, self._is_field = False, False, False

    def take_text(self, text: str) -> None:
        # A field is the number of the slide, or its date.
        if self._is_text and not self._is_field:
            self._text.append(text)

    def begin(self, name: str) -> None:
        self._is_text = name == "t"
        self._is_field = self._is_field or name == "fld"
        self._is_cell = self._is_cell or name == "tc"
        if name == "br":
            self._text.append("\n")
        elif name == "tr":
            self._rows.append([])

    def end(self, name: str) -> None:
        self._is_text = False
        self._is_field = self._is_field and name != "fld"
        if name == "p" and self._is_cell:
            self._text.append("\n")
        elif name == "p":
            self._extracted.lines("".join(self._text))
            self._text = []
        elif name == "tc" and self._rows:
            self._rows[-1].append("".join(self._text).strip())
            self._text, self._is_cell = [], False
        elif name == "tr" and self._rows:
            self._extracted.line("\t".join(self._rows[-1]))
        elif name == "tbl":
            self._extracted.table(self._rows)
            self._rows = []
