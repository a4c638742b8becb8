"""The contract's comments, by the full name of the message, field or RPC that they describe."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

_MESSAGE, _SERVICE = 4, 6
_FIELD_OR_METHOD = 2
_TOP, _PART = 2, 4


@dataclass(frozen=True)
class Comments:
    """The comments.

    Attributes:
        texts: By full name, each on one line.
    """

    texts: dict[str, str]

    @classmethod
    def read(cls, descriptors: FileDescriptorSet) -> "Comments":
        """Read them from a descriptor set with source information."""
        return cls({name: text for file in descriptors.file for name, text in _texts(file)})

    def of(self, name: str) -> str:
        """Return the comment of a full name; empty when it has none."""
        return self.texts.get(name, "")


def _texts(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    for location in file.source_code_info.location:
        name = _name(file, location.path)
        if name and location.leading_comments:
            yield f"{file.package}.{name}", " ".join(location.leading_comments.split())


def _name(file: FileDescriptorProto, path: Sequence[int]) -> str:
    """Return the name at a path of `SourceCodeInfo.Location`; messages within messages have no place in tools."""
    owners: dict[int, Any] = {_MESSAGE: file.message_type, _SERVICE: file.service}
    if len(path) not in {_TOP, _PART} or path[0] not in owners:
        return ""
    owner = owners[path[0]][path[1]]
    if len(path) == _TOP:
        return str(owner.name)
    if path[2] != _FIELD_OR_METHOD:
        return ""
    parts = owner.field if path[0] == _MESSAGE else owner.method
    return f"{owner.name}.{parts[path[3]].name}"
