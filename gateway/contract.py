"""Reads each service of the contract from the descriptor set: its door, its methods, its package."""

from dataclasses import dataclass
from pathlib import Path

from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet, ServiceDescriptorProto

from mailmesh.access.v1 import access_pb2

DESCRIPTOR_NAME = "mailmesh.binpb"


@dataclass(frozen=True)
class ContractService:
    """A service of the contract.

    Attributes:
        name: Full name, such as "mailmesh.vault.v1.TenantService".
        door: The one door it has, a value of access_pb2.Door.
        methods: Names of its RPCs, in the contract's order.
        streams: Those of them that answer with a stream.
    """

    name: str
    door: int
    methods: tuple[str, ...]
    streams: tuple[str, ...]

    @property
    def package(self) -> str:
        """The part of the contract that it belongs to, such as "vault"."""
        return self.name.split(".")[1]


def descriptor_path() -> Path:
    """Returns the descriptor set's file: from the repository, or as it was installed.

    Raises:
        FileNotFoundError: It is in neither place.
    """
    repository = Path(__file__).resolve().parent.parent / "gen" / DESCRIPTOR_NAME
    installed = Path(access_pb2.__file__).parent.parent.parent / DESCRIPTOR_NAME
    for path in (repository, installed):
        if path.is_file():
            return path
    raise FileNotFoundError(f"the contract's descriptor set is missing: neither {repository} nor {installed} exists")


def edge_services(path: Path) -> list[ContractService]:
    """Returns the services that the edge serves: those whose door is a key's or open."""
    served = (access_pb2.DOOR_KEY, access_pb2.DOOR_OPEN)
    return [service for service in services(path) if service.door in served]


def services(path: Path) -> list[ContractService]:
    """Reads all services of the contract from a descriptor set."""
    descriptors = FileDescriptorSet.FromString(path.read_bytes())
    return [
        _service(file.package, service)
        for file in descriptors.file
        if file.package.startswith("mailmesh.")
        for service in file.service
    ]


def keyed_prefixes(path: Path, beside: str) -> list[str]:
    """Returns the beginnings of the REST paths below a prefix that need an API key, up to their first variable.

    Args:
        path: The descriptor set.
        beside: A prefix whose other paths need no key, such as "/api/".
    """
    keyed = {service.name for service in services(path) if service.door == access_pb2.DOOR_KEY}
    files = FileDescriptorSet.FromString(path.read_bytes()).file
    rules = [
        method.options.Extensions[annotations_pb2.http]
        for file in files
        for service in file.service
        if f"{file.package}.{service.name}" in keyed
        for method in service.method
    ]
    bindings = [binding for rule in rules for binding in (rule, *rule.additional_bindings)]
    paths = [getattr(binding, binding.WhichOneof("pattern") or "get") for binding in bindings]
    return sorted({found.partition("{")[0] for found in paths if found.startswith(beside)})


def _service(package: str, service: ServiceDescriptorProto) -> ContractService:
    return ContractService(
        name=f"{package}.{service.name}",
        door=service.options.Extensions[access_pb2.door],
        methods=tuple(method.name for method in service.method),
        streams=tuple(method.name for method in service.method if method.server_streaming),
    )
