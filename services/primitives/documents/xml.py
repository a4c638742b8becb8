"""XML of strangers: read as a stream of events, without declarations of types, and so without entities."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple
from xml.parsers import expat

from services.primitives.failure import ContentError

MAX_DEPTH = 256


class Event(NamedTuple):
    """The begin of an element ("begin"), its end ("end"), or text ("text").

    Args:
        kind: The kind.
        name: The element's name without its namespace; of text, the text.
        attributes: By name, with the namespace and a blank before it if there is one.
    """

    kind: str
    name: str
    attributes: dict[str, str]

    def get(self, name: str) -> str:
        """Return an attribute by its name without the namespace; empty when it is not there."""
        if name in self.attributes:
            return self.attributes[name]
        return next((value for key, value in self.attributes.items() if key.endswith(" " + name)), "")

    @property
    def relation(self) -> str:
        """The id of a relationship of Office documents."""
        return next((value for key, value in self.attributes.items() if key.endswith("relationships id")), "")


def events(chunks: Iterable[bytes]) -> Iterator[Event]:
    """Yield the events of a document.

    Raises:
        ContentError: It is not well-formed, too deep, or declares types.
    """
    waiting: list[Event] = []
    depth = 0

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise ContentError("nesting")
        waiting.append(Event("begin", name.rpartition(" ")[2], attributes))

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        waiting.append(Event("end", name.rpartition(" ")[2], {}))

    def refuse(*_declaration: object) -> None:
        raise ContentError("malformed")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.CharacterDataHandler = lambda text: waiting.append(Event("text", text, {}))
    parser.StartDoctypeDeclHandler = refuse
    try:
        for chunk in chunks:
            parser.Parse(chunk)
            yield from waiting
            waiting.clear()
        parser.Parse(b"", True)  # noqa: FBT003 - expat takes it by position
    except expat.ExpatError as exc:
        raise ContentError("malformed") from exc
    yield from waiting
