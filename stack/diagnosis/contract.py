"""The contract that an installation serves, beside the one of this command: which one is of a later release."""

from collections.abc import Iterator, Mapping
from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection_pb2 as pb
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from gateway.contract import descriptor_path, edge_services
from stack.diagnosis.asking import SECONDS
from stack.diagnosis.finding import Finding, bad, good, warning

_NAMED = 3
_ANSWERS = 500
_Methods = Mapping[str, frozenset[str]]
"""The names of the methods by the full name of their service."""


def contract_findings(channel: grpc.Channel) -> Iterator[Finding]:
    """Compare what the edge serves with the contract of this command's release.

    Args:
        channel: To the edge; no key is needed.
    """
    own = _own()
    try:
        served = _served(channel, sorted(own))
    except grpc.RpcError as fault:
        call: Any = fault
        yield bad("reflection", f"no answer: {call.code().name}", "Let HTTP/2 pass to the edge, and read its log.")
        return
    except (DecodeError, ValueError):
        yield bad("reflection", "the answer is no contract", "Check that the address is that of mailmesh's edge.")
        return
    yield good("reflection", f"shows {len(served)} services")
    yield _compared(own, served)


def _compared(own: _Methods, served: _Methods) -> Finding:
    missing, further = _beyond(own, served), _beyond(served, own)
    if not missing and not further:
        return good("contract", "is that of this command's release")
    if missing:
        detail = f"lacks {_listed(missing)}"
        return warning("contract", detail, "Upgrade the installation, or use the command of its own release.")
    return warning("contract", f"also has {_listed(further)}", "Upgrade this command to the installation's release.")


def _beyond(one: _Methods, other: _Methods) -> list[str]:
    """List the methods that the other contract lacks."""
    nothing: frozenset[str] = frozenset()
    return sorted(
        f"{service}.{method}" for service, methods in one.items() for method in methods - other.get(service, nothing)
    )


def _listed(methods: list[str]) -> str:
    more = f" and {len(methods) - _NAMED} more" if len(methods) > _NAMED else ""
    return ", ".join(methods[:_NAMED]) + more


def _own() -> _Methods:
    return {service.name: frozenset(service.methods) for service in edge_services(descriptor_path())}


def _served(channel: grpc.Channel, names: list[str]) -> _Methods:
    """Ask for the list of services, and for the file of each. A server that never ends has a deadline.

    Raises:
        DecodeError: A file is none.
        ValueError: There are more answers than questions.
    """
    stub: Any = ServerReflectionStub(channel)
    questions = [pb.ServerReflectionRequest(list_services="")]
    questions += [pb.ServerReflectionRequest(file_containing_symbol=name) for name in names]
    found: dict[str, frozenset[str]] = {}
    for number, answer in enumerate(stub.ServerReflectionInfo(iter(questions), timeout=SECONDS)):
        if number > _ANSWERS:
            raise ValueError("more answers than questions")
        for service in answer.list_services_response.service:
            if service.name.startswith("mailmesh."):
                found.setdefault(service.name, frozenset())
        for content in answer.file_descriptor_response.file_descriptor_proto:
            file = FileDescriptorProto.FromString(content)
            if file.package.startswith("mailmesh."):
                for one in file.service:
                    found[f"{file.package}.{one.name}"] = frozenset(method.name for method in one.method)
    return found
