"""The contract of the edge, read from the descriptor set: each RPC's least role, and the services of reflection."""

from dataclasses import dataclass
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

from mailmesh.access.v1 import access_pb2
from services.meshkit.identity.caller import Role

_NAME = "mailmesh.binpb"


@dataclass(frozen=True)
class EdgeContract:
    """The part of the contract that the edge exposes.

    Args:
        roles: The least role by full method name, `/package.Service/Method`, for RPCs behind the key door.
        services: Full names of the services behind the key and open doors.
        pool: Descriptors of these services and of the types that they use, without any mesh service.
    """

    roles: dict[str, Role]
    services: tuple[str, ...]
    pool: DescriptorPool


def load_contract() -> EdgeContract:
    """Read the descriptor set, from the repository or from the installed package.

    Raises:
        FileNotFoundError: Neither place has it.
    """
    descriptors = FileDescriptorSet.FromString(_path().read_bytes())
    roles: dict[str, Role] = {}
    services: list[str] = []
    pool = DescriptorPool()
    for file in descriptors.file:
        shown = _without_mesh(file)
        pool.AddSerializedFile(shown.SerializeToString())
        services += [
            f"{file.package}.{service.name}" for service in shown.service if file.package.startswith("mailmesh.")
        ]
        roles |= _roles(shown)
    return EdgeContract(roles, tuple(services), pool)


def _path() -> Path:
    repository = Path(__file__).resolve().parents[3] / "gen" / _NAME
    installed = Path(access_pb2.__file__).parents[2] / _NAME
    for path in (repository, installed):
        if path.is_file():
            return path
    raise FileNotFoundError(f"the contract's descriptor set is missing: {_NAME}")


def _without_mesh(file: FileDescriptorProto) -> FileDescriptorProto:
    shown = FileDescriptorProto()
    shown.CopyFrom(file)
    del shown.service[:]
    shown.service.extend(
        service for service in file.service if service.options.Extensions[access_pb2.door] != access_pb2.DOOR_MESH
    )
    return shown


def _roles(file: FileDescriptorProto) -> dict[str, Role]:
    return {
        f"/{file.package}.{service.name}/{method.name}": Role(method.options.Extensions[access_pb2.minimum_role])
        for service in file.service
        if service.options.Extensions[access_pb2.door] == access_pb2.DOOR_KEY
        for method in service.method
    }
