"""The contract as the generated Python sees it, for the tests in this folder."""

import importlib
from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor

from mailmesh.access.v1 import access_pb2
from tools.contract import files


def services() -> list[ServiceDescriptor]:
    """Return every service of the contract."""
    modules = [importlib.import_module(file.name.replace("/", ".").removesuffix(".proto") + "_pb2") for file in files()]
    return [service for module in modules for service in module.DESCRIPTOR.services_by_name.values()]


def methods(door: access_pb2.Door.ValueType | None = None) -> list[MethodDescriptor]:
    """Return every RPC, or those behind one door."""
    return [method for service in services() if door is None or door_of(service) == door for method in service.methods]


def door_of(service: ServiceDescriptor) -> access_pb2.Door.ValueType:
    """Return the door that a service declares."""
    return service.GetOptions().Extensions[access_pb2.door]


def request_messages() -> list[Descriptor]:
    """Return every request, and every message of the contract's own that only requests contain."""
    taken, given = (
        _reachable(method.input_type for method in methods()),
        _reachable(method.output_type for method in methods()),
    )
    return sorted(taken - given, key=lambda message: message.full_name)


def _reachable(roots: Iterator[Descriptor]) -> set[Descriptor]:
    found: set[Descriptor] = set()
    waiting = list(roots)
    while waiting:
        message = waiting.pop()
        if message not in found and message.full_name.startswith("mailmesh."):
            found.add(message)
            waiting += [field.message_type for field in fields(message) if field.message_type]
    return found


def fields(message: Descriptor) -> list[FieldDescriptor]:
    """Return a message's fields."""
    return list(message.fields)
