"""A contract for tests of the plumbing, compiled when it is first asked for."""

import importlib
import sys
import tempfile
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_tools import protoc

ROOT = Path(__file__).parents[2]
ECHO_PROTO = ROOT / "tests" / "wire" / "meshkit" / "echo.proto"


@cache
def echo_modules() -> tuple[ModuleType, ModuleType]:
    """The modules `echo_pb2` and `echo_pb2_grpc`."""
    folder = tempfile.mkdtemp(prefix="mm-echo-")
    well_known = files("grpc_tools") / "_proto"
    googleapis = Path(str(files("google.api"))).parents[1]
    arguments = ["", f"--proto_path={ECHO_PROTO.parent}", f"--proto_path={ROOT / 'proto'}"]
    arguments += [f"--proto_path={googleapis}", f"--proto_path={well_known}"]
    arguments += [f"--python_out={folder}", f"--grpc_python_out={folder}", "echo.proto"]
    if protoc.main(arguments) != 0:
        raise RuntimeError("echo.proto does not compile")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module("echo_pb2"), importlib.import_module("echo_pb2_grpc")
    finally:
        sys.path.remove(folder)


def echo_service(name: str) -> Any:
    """The descriptor of one of the contract's services."""
    return echo_modules()[0].DESCRIPTOR.services_by_name[name]


def echo_files() -> list[FileDescriptorProto]:
    """The contract's file with all its imports, for reflection."""
    found: dict[str, FileDescriptorProto] = {}
    waiting = [echo_modules()[0].DESCRIPTOR]
    while waiting:
        descriptor = waiting.pop()
        found[descriptor.name] = FileDescriptorProto()
        descriptor.CopyToProto(found[descriptor.name])
        waiting += [one for one in descriptor.dependencies if one.name not in found]
    return list(found.values())
