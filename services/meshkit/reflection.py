"""The reflection service of gRPC, in both versions that clients ask for, over a given list of files.

The servicer of grpcio-reflection answers from a pool. A pool does not find methods, and it answers with every file that
was ever added to it. This servicer answers from an index of the files that the server shows.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest as Question
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionResponse as Answer

from services.meshkit.errors import Overloaded

HEALTH = "grpc.health.v1.Health"
SERVICES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
METHOD = "ServerReflectionInfo"
MAX_QUESTIONS = 200
"""The largest number of questions of one stream. Clients ask once for each service and each file."""


def own_files() -> Iterator[FileDescriptorProto]:
    """Yield the files of the services that each server has by itself: health and reflection."""
    health, reflection = FileDescriptorProto(), FileDescriptorProto()
    health_pb2.DESCRIPTOR.CopyToProto(health)
    reflection_pb2.DESCRIPTOR.CopyToProto(reflection)
    # No package for Python publishes version 1, whose messages equal those of v1alpha in all but the package's name.
    renamed = json_format.MessageToJson(reflection).replace("v1alpha", "v1")
    yield from (health, reflection, json_format.Parse(renamed, FileDescriptorProto()))


class FileIndex:
    """Files by name, by each symbol that they declare, and by each extension.

    Args:
        files: The files, with all files that they import.
    """

    def __init__(self, files: Iterable[FileDescriptorProto]) -> None:
        self._files = {file.name: file for file in files}
        self._symbols = {symbol: file for file in self._files.values() for symbol in symbols(file)}
        self._extensions: dict[str, dict[int, FileDescriptorProto]] = {}
        self._written: dict[str, list[bytes]] = {}
        for file in self._files.values():
            for extendee, number in _extensions(file):
                self._extensions.setdefault(extendee, {})[number] = file

    def by_name(self, name: str) -> list[bytes]:
        """Return a file and all files that it imports, serialized; KeyError when there is none."""
        return self._with_imports(self._files[name])

    def by_symbol(self, symbol: str) -> list[bytes]:
        """Return the file that declares a symbol, by its full name, with its imports; KeyError when there is none."""
        return self._with_imports(self._symbols[symbol])

    def by_extension(self, extendee: str, number: int) -> list[bytes]:
        """Return the file that declares an extension, with its imports; KeyError when there is none."""
        return self._with_imports(self._extensions[extendee][number])

    def extension_numbers(self, message: str) -> list[int]:
        """Return the numbers of a message's extensions, in order; KeyError when there is no such message."""
        if message not in self._symbols:
            raise KeyError(message)
        return sorted(self._extensions.get(message, ()))

    def _with_imports(self, file: FileDescriptorProto) -> list[bytes]:
        # A question of 40 bytes has an answer of 30 KB. Files are therefore written once.
        if file.name not in self._written:
            self._written[file.name] = self._write_with_imports(file)
        return self._written[file.name]

    def _write_with_imports(self, file: FileDescriptorProto) -> list[bytes]:
        found: dict[str, FileDescriptorProto] = {}
        waiting = [file]
        while waiting:
            one = waiting.pop()
            if one.name not in found:
                found[one.name] = one
                waiting += [self._files[name] for name in one.dependency]
        return [one.SerializeToString() for one in found.values()]


def symbols(file: FileDescriptorProto) -> Iterator[str]:
    """Yield the full name of everything that a file declares."""
    scope = f"{file.package}." if file.package else ""
    for message in file.message_type:
        yield from _message_symbols(message, scope)
    for enum in file.enum_type:
        yield from _enum_symbols(enum, scope)
    for service in file.service:
        yield f"{scope}{service.name}"
        yield from (f"{scope}{service.name}.{method.name}" for method in service.method)
    yield from (f"{scope}{field.name}" for field in file.extension)


def _message_symbols(message: DescriptorProto, scope: str) -> Iterator[str]:
    name = f"{scope}{message.name}"
    yield name
    yield from (f"{name}.{field.name}" for field in (*message.field, *message.extension))
    yield from (f"{name}.{oneof.name}" for oneof in message.oneof_decl)
    for nested in message.nested_type:
        yield from _message_symbols(nested, f"{name}.")
    for enum in message.enum_type:
        yield from _enum_symbols(enum, f"{name}.")


def _enum_symbols(enum: EnumDescriptorProto, scope: str) -> Iterator[str]:
    """Yield an enum and its values, named beside the enum (protobuf's rule) and below it (grpcurl's spelling)."""
    yield f"{scope}{enum.name}"
    for value in enum.value:
        yield f"{scope}{value.name}"
        yield f"{scope}{enum.name}.{value.name}"


def _extensions(file: FileDescriptorProto) -> Iterator[tuple[str, int]]:
    waiting = list(file.message_type)
    fields = list(file.extension)
    while waiting:
        message = waiting.pop()
        fields += message.extension
        waiting += message.nested_type
    yield from ((field.extendee.removeprefix("."), field.number) for field in fields)


class ReflectionServicer:
    """Answers questions about the files of an index.

    Args:
        services: Full names of the services to list.
        index: The files.
    """

    def __init__(self, services: Iterable[str], index: FileIndex) -> None:
        self._services = sorted(services)
        self._index = index

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """Return the handlers of both versions, which differ in the service's name alone."""
        info = grpc.stream_stream_rpc_method_handler(
            self.info, request_deserializer=Question.FromString, response_serializer=Answer.SerializeToString
        )
        return [grpc.method_handlers_generic_handler(service, {METHOD: info}) for service in SERVICES]

    async def info(self, questions: AsyncIterator[Question], _context: object) -> AsyncIterator[Answer]:
        """Answer each question of a stream.

        Raises:
            Overloaded: The stream has too many questions. The rate limits of the edge count streams only.
        """
        left = MAX_QUESTIONS
        async for question in questions:
            if not left:
                raise Overloaded(metadata={"bound": "reflection_questions"})
            left -= 1
            yield self.answer(question)

    def answer(self, question: Question) -> Answer:
        """Answer one question; an unknown name or an empty question is an `error_response`."""
        answer = Answer(valid_host=question.host, original_request=question)
        try:
            self._fill(answer, question)
        except KeyError:
            answer.error_response.error_code = grpc.StatusCode.NOT_FOUND.value[0]
            answer.error_response.error_message = "the edge serves nothing of this name"
        return answer

    def _fill(self, answer: Answer, question: Question) -> None:
        files: Callable[[list[bytes]], None] = answer.file_descriptor_response.file_descriptor_proto.extend
        match question.WhichOneof("message_request"):
            case "file_by_filename":
                files(self._index.by_name(question.file_by_filename))
            case "file_containing_symbol":
                files(self._index.by_symbol(question.file_containing_symbol))
            case "file_containing_extension":
                asked = question.file_containing_extension
                files(self._index.by_extension(asked.containing_type, asked.extension_number))
            case "all_extension_numbers_of_type":
                message = question.all_extension_numbers_of_type
                answer.all_extension_numbers_response.extension_number.extend(self._index.extension_numbers(message))
                answer.all_extension_numbers_response.base_type_name = message
            case "list_services":
                for name in self._services:
                    answer.list_services_response.service.add(name=name)
            case _:
                answer.error_response.error_code = grpc.StatusCode.INVALID_ARGUMENT.value[0]
                answer.error_response.error_message = "the question is empty"
