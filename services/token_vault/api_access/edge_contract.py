"""The contract of the edge, read from the descriptor set: each RPC's needs, and the services of reflection."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet, ServiceDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from mailmesh.access.v1 import access_pb2
from services.meshkit.identity.caller import Role

AGENTS_PATH = "/mcp"
"""The edge's path of the door of agents. Any key may reach it; the RPC behind each tool has needs of its own."""
_NAME = "mailmesh.binpb"
_OWN = "mailmesh."
# Clients read these in the answers, though no request or answer of an RPC has them: the details of failures and their
# reasons, and the enums of the options that state who may call.
_DETAILS = ("google/rpc/error_details.proto", "google/rpc/status.proto", "mailmesh/errors/v1/error_reason.proto")
_WHOLE_PACKAGES = frozenset({"mailmesh.access.v1", "mailmesh.errors.v1"})


@dataclass(frozen=True)
class Needs:
    """The rights that a key needs for an RPC.

    Args:
        role: The least role.
        ability: The ability; empty for none.
        is_for_keys_only: Whether a session does not stand for its key.
        is_tool: Whether a tool of agents calls it.
    """

    role: Role
    ability: str = ""
    is_for_keys_only: bool = False
    is_tool: bool = False


@dataclass(frozen=True)
class EdgeContract:
    """The part of the contract that the edge exposes.

    Args:
        needs: The rights that a key needs for RPCs behind the key door, by full method name, `/package.Service/Method`.
        services: Full names of the services behind the key and open doors.
        files: The files of these services and of the types that they use, without anything that only the mesh serves.
    """

    needs: dict[str, Needs]
    services: tuple[str, ...]
    files: tuple[FileDescriptorProto, ...]


def load_contract() -> EdgeContract:
    """Read the descriptor set, from the repository or from the installed package.

    Raises:
        FileNotFoundError: Neither place has it.
    """
    descriptors = FileDescriptorSet.FromString(_path().read_bytes())
    files = tuple(edge_files(descriptors))
    services = [f"{file.package}.{service.name}" for file in files for service in file.service]
    needs = {path: need for file in files for path, need in _needs(file).items()}
    # The door of agents calls the edge with the caller's key. No page of ours calls it.
    needs[AGENTS_PATH] = Needs(Role.READER, is_for_keys_only=True)
    return EdgeContract(needs, tuple(services), files)


def edge_files(descriptors: FileDescriptorSet) -> Iterator[FileDescriptorProto]:
    """Yield the files of the edge: its services, and only the messages that their RPCs reach.

    Args:
        descriptors: The whole contract with its imports, each file after the files that it imports.
    """
    used = _used_types(descriptors)
    shown = [_without_mesh(file, used) for file in descriptors.file]
    wanted = {*_DETAILS, *(file.name for file in shown if file.service)}
    for file in reversed(shown):
        if file.name in wanted:
            wanted.update(file.dependency)
    yield from (file for file in shown if file.name in wanted)


def _path() -> Path:
    repository = Path(__file__).resolve().parents[3] / "gen" / _NAME
    installed = Path(access_pb2.__file__).parents[2] / _NAME
    for path in (repository, installed):
        if path.is_file():
            return path
    raise FileNotFoundError(f"the contract's descriptor set is missing: {_NAME}")


def _used_types(descriptors: FileDescriptorSet) -> set[str]:
    """Return the full names of the messages and enums that the RPCs of the edge reach."""
    pool = DescriptorPool()
    for file in descriptors.file:
        pool.AddSerializedFile(file.SerializeToString())
    methods = (
        method
        for file in descriptors.file
        for service in file.service
        if not _is_of_the_mesh(service)
        for method in pool.FindServiceByName(f"{file.package}.{service.name}").methods
    )
    return _reached(message for method in methods for message in (method.input_type, method.output_type))


def _reached(roots: Iterable[Descriptor]) -> set[str]:
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        message = waiting.pop()
        if message.full_name in found:
            continue
        found.add(message.full_name)
        waiting += [field.message_type for field in message.fields if field.message_type]
        found.update(field.enum_type.full_name for field in message.fields if field.enum_type)
        if message.containing_type:
            waiting.append(message.containing_type)
    return found


def _is_of_the_mesh(service: ServiceDescriptorProto) -> bool:
    return service.options.Extensions[access_pb2.door] not in {access_pb2.DOOR_KEY, access_pb2.DOOR_OPEN}


def _without_mesh(file: FileDescriptorProto, used: set[str]) -> FileDescriptorProto:
    """Return a file without what only the mesh uses, and without comments."""
    shown = FileDescriptorProto()
    shown.CopyFrom(file)
    shown.ClearField("source_code_info")
    if not file.package.startswith(_OWN) or file.package in _WHOLE_PACKAGES:
        return shown
    for elements in ("message_type", "enum_type", "service"):
        shown.ClearField(elements)
    shown.message_type.extend(one for one in file.message_type if f"{file.package}.{one.name}" in used)
    shown.enum_type.extend(one for one in file.enum_type if f"{file.package}.{one.name}" in used)
    shown.service.extend(service for service in file.service if not _is_of_the_mesh(service))
    return shown


def _needs(file: FileDescriptorProto) -> dict[str, Needs]:
    return {
        f"/{file.package}.{service.name}/{method.name}": Needs(
            Role(method.options.Extensions[access_pb2.minimum_role]),
            method.options.Extensions[access_pb2.ability],
            is_tool=len(method.options.Extensions[access_pb2.tools]) > 0,
        )
        for service in file.service
        if service.options.Extensions[access_pb2.door] == access_pb2.DOOR_KEY
        for method in service.method
    }
