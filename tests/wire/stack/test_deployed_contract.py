"""`mailmesh doctor --deployed` compares the contract that an edge serves with its own."""

from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from itertools import repeat
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2 as pb
from grpc_reflection.v1alpha import reflection_pb2_grpc

from services.token_vault.api_access.edge_contract import load_contract
from stack.diagnosis.contract import contract_findings
from stack.diagnosis.finding import Grade

SYSTEM = "mailmesh.processor.v1.EventService"


class Reflection(reflection_pb2_grpc.ServerReflectionServicer):  # type: ignore[misc]
    """Shows files.

    Args:
        files: The files.
        answer: Answers a question otherwise, if given.
    """

    def __init__(self, files: list[FileDescriptorProto], answer: Callable[[], Iterator[Any]] | None = None) -> None:
        self._files = {f"{file.package}.{one.name}": file for file in files for one in file.service}
        self._answer = answer

    def ServerReflectionInfo(self, request_iterator: Iterator[Any], context: Any) -> Iterator[Any]:
        """Answer the questions of a stream."""
        if self._answer is not None:
            yield from self._answer()
        for question in request_iterator:
            if question.WhichOneof("message_request") == "list_services":
                names = [pb.ServiceResponse(name=name) for name in self._files]
                yield pb.ServerReflectionResponse(list_services_response=pb.ListServiceResponse(service=names))
            elif question.file_containing_symbol in self._files:
                file = self._files[question.file_containing_symbol].SerializeToString()
                found = pb.FileDescriptorResponse(file_descriptor_proto=[file])
                yield pb.ServerReflectionResponse(file_descriptor_response=found)
            else:
                yield pb.ServerReflectionResponse(error_response=pb.ErrorResponse(error_code=5))


@contextmanager
def edge(reflection: Reflection | None) -> Iterator[grpc.Channel]:
    """Run a server with reflection or without, and yield a channel to it."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    if reflection is not None:
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflection, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.enable_http_proxy", 0)]) as channel:
        yield channel
    server.stop(None)


def files() -> list[FileDescriptorProto]:
    """Return copies of the files that the edge shows."""
    copies = []
    for file in load_contract().files:
        copy = FileDescriptorProto()
        copy.CopyFrom(file)
        copies.append(copy)
    return copies


def service_of(shown: list[FileDescriptorProto]) -> Any:
    """Return one service of the files."""
    return next(one for file in shown for one in file.service if f"{file.package}.{one.name}" == SYSTEM)


def graded(reflection: Reflection | None) -> dict[str, Any]:
    """Return the findings by name."""
    with edge(reflection) as channel:
        return {finding.name: finding for finding in contract_findings(channel)}


def test_an_installation_of_the_same_release_is_good() -> None:
    found = graded(Reflection(files()))

    assert {"reflection": Grade.GOOD, "contract": Grade.GOOD} == {name: one.grade for name, one in found.items()}


def test_an_earlier_release_lacks_methods_and_a_later_one_has_more() -> None:
    earlier, later = files(), files()
    del service_of(earlier).method[:]
    service_of(later).method.add(name="ListEventsOfTomorrow")
    lacking, beyond = graded(Reflection(earlier))["contract"], graded(Reflection(later))["contract"]

    assert (Grade.WARNING, Grade.WARNING) == (lacking.grade, beyond.grade)
    assert f"lacks {SYSTEM}.GetEvent" in lacking.fact
    assert f"also has {SYSTEM}.ListEventsOfTomorrow" == beyond.fact


@pytest.mark.parametrize(
    "answer",
    [
        lambda: repeat(pb.ServerReflectionResponse()),
        lambda: iter([pb.ServerReflectionResponse(file_descriptor_response={"file_descriptor_proto": [b"\xff\xff"]})]),
    ],
    ids=["without end", "no contract"],
)
def test_a_hostile_answer_is_a_finding(answer: Callable[[], Iterator[Any]]) -> None:
    assert {"reflection": Grade.BAD} == {name: one.grade for name, one in graded(Reflection([], answer)).items()}


def test_an_edge_without_reflection_is_a_finding() -> None:
    assert {"reflection": Grade.BAD} == {name: one.grade for name, one in graded(None).items()}
