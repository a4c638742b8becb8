"""The tools, from the contract: each RPC that the option `tools` names, its arguments, and their texts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from mailmesh.access.v1 import access_pb2
from services.agents.comments import Comments
from services.agents.schema import schema_of
from services.meshkit.identity.caller import ALL_ABILITIES, Role

_NAME = "mailmesh.binpb"
_TENANTS = "tenant_ids"
_TENANT = "tenant_id"


@dataclass(frozen=True)
class Argument:
    """An argument of a tool.

    Attributes:
        name: Its name.
        path: The fields of the request from the outermost to its own.
    """

    name: str
    path: tuple[FieldDescriptor, ...]

    @property
    def field(self) -> FieldDescriptor:
        """Its own field."""
        return self.path[-1]


@dataclass(frozen=True)
class Tool:
    """A tool.

    Attributes:
        name: Its name.
        acts: Whether it changes something.
        method: The RPC that it calls.
        arguments: Its arguments, in the contract's order.
        required: The names of those that must be given.
        role: The least role of a key.
        ability: The ability of a key; empty for none.
        comments: The contract's texts.
    """

    name: str
    acts: bool
    method: MethodDescriptor
    arguments: tuple[Argument, ...]
    required: tuple[str, ...]
    role: Role
    ability: str
    comments: Comments

    def is_open_to(self, role: Role, abilities: frozenset[str]) -> bool:
        """Return whether a key of this role and these abilities may call the tool."""
        return role >= self.role and (not self.ability or bool({self.ability, ALL_ABILITIES} & abilities))

    @property
    def path(self) -> str:
        """The RPC's full name, `/package.Service/Method`."""
        return f"/{self.method.containing_service.full_name}/{self.method.name}"

    @property
    def description(self) -> str:
        """The RPC's text in the contract."""
        return self.comments.of(self.method.full_name)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the arguments; it allows no other ones."""
        properties = {argument.name: self._property(argument) for argument in self.arguments}
        return {
            "type": "object",
            "properties": properties,
            "required": list(self.required),
            "additionalProperties": False,
        }

    def _property(self, argument: Argument) -> dict[str, Any]:
        if argument.field.name == _TENANTS:
            return {"type": "string", "minLength": 1, "description": "The tenant to read."}
        return schema_of(argument.field, self.comments)

    def request(self, values: Mapping[str, Any]) -> Message:
        """Return the RPC's request.

        Args:
            values: Arguments that fit the schema.

        Raises:
            google.protobuf.json_format.ParseError: A value fits the schema but not the field.
        """
        document: dict[str, Any] = {}
        for argument in self.arguments:
            if argument.name in values:
                value = values[argument.name]
                _put(document, argument.path, [value] if argument.field.name == _TENANTS else value)
        return ParseDict(document, GetMessageClass(self.method.input_type)())

    def answer(self, data: bytes) -> Message:
        """Return the RPC's response from its bytes."""
        return GetMessageClass(self.method.output_type).FromString(data)


def _put(document: dict[str, Any], path: tuple[FieldDescriptor, ...], value: Any) -> None:
    for field in path[:-1]:
        document = document.setdefault(field.name, {})
    document[path[-1].name] = value


def load_tools() -> dict[str, Tool]:
    """Read the tools from the descriptor set, sorted by name.

    Raises:
        FileNotFoundError: The descriptor set is not there.
    """
    descriptors = FileDescriptorSet.FromString(_path().read_bytes())
    pool = DescriptorPool()
    for file in descriptors.file:
        pool.Add(file)
    comments = Comments.read(descriptors)
    found = {tool.name: tool for file in descriptors.file for tool in _tools(file, pool, comments)}
    return dict(sorted(found.items()))


def _path() -> Path:
    repository = Path(__file__).resolve().parents[2] / "gen" / _NAME
    installed = Path(access_pb2.__file__).parents[2] / _NAME
    return repository if repository.is_file() else installed


def _tools(file: Any, pool: DescriptorPool, comments: Comments) -> Iterator[Tool]:
    for service in file.service:
        for proto in service.method:
            options = proto.options
            for tool in options.Extensions[access_pb2.tools]:
                method = pool.FindServiceByName(f"{file.package}.{service.name}").FindMethodByName(proto.name)
                arguments = tuple(_argument(method, path) for path in tool.arguments)
                names = {argument.name for argument in arguments}
                yield Tool(
                    name=tool.name,
                    acts=tool.acts,
                    method=method,
                    arguments=arguments,
                    required=(*((_TENANT,) if _TENANT in names else ()), *tool.required),
                    role=Role(options.Extensions[access_pb2.minimum_role]),
                    ability=options.Extensions[access_pb2.ability],
                    comments=comments,
                )


def _argument(method: MethodDescriptor, path: str) -> Argument:
    fields: list[FieldDescriptor] = []
    message: Descriptor | None = method.input_type
    for part in path.split("."):
        if message is None:
            raise LookupError(f"{path} of {method.full_name} leads through a field that is no message")
        field = message.fields_by_name[part]
        fields.append(field)
        message = field.message_type
    name = _TENANT if fields[-1].name == _TENANTS else fields[-1].name
    return Argument(name, tuple(fields))
