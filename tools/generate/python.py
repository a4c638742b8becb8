"""gen/python and gen/mailmesh.binpb: the code that running the system needs, generated with Python alone."""

import re
from pathlib import Path

from tools.generate import protos

_INIT = '"""Generated from proto/ by `make gen`; never edited."""\n'


def generate(out: Path) -> None:
    """Writes messages, their types and the stubs of grpc.aio and sync to `out`/python."""
    target = out / "python"
    target.mkdir(parents=True, exist_ok=True)
    files = protos.contract_files()
    services = [name for name in files if protos.has_service(name)]
    mypy = f"--plugin=protoc-gen-mypy={protos.venv_program('protoc-gen-mypy')}"
    mypy_grpc = f"--plugin=protoc-gen-mypy_grpc={protos.venv_program('protoc-gen-mypy_grpc')}"
    protos.protoc([f"--python_out={target}", mypy, f"--mypy_out=quiet:{target}"], files)
    if services:
        protos.protoc([f"--grpc_python_out={target}", mypy_grpc, f"--mypy_grpc_out=quiet:{target}"], services)
        _name_async_stubs(target)
    _write_package_files(target / "mailmesh")


def generate_descriptor_set(out: Path) -> None:
    """Writes `out`/mailmesh.binpb: the contract with its imports and comments, for Envoy, reflection and checks.

    `google/rpc/error_details.proto` is in it, since Envoy turns error details into JSON only when it knows them.
    """
    out.mkdir(parents=True, exist_ok=True)
    options = [f"--descriptor_set_out={out / 'mailmesh.binpb'}", "--include_imports", "--include_source_info"]
    protos.protoc(options, [*protos.contract_files(), "google/rpc/error_details.proto", "google/rpc/status.proto"])


def _name_async_stubs(target: Path) -> None:
    """Gives the names that the types know, `...AsyncStub`, to programs too, so that annotations need no tricks."""
    for path in sorted(target.rglob("*_pb2_grpc.py")):
        names = re.findall(r"^class (\w+)Stub\b", path.read_text(), re.MULTILINE)
        with path.open("a") as file:
            file.writelines(f"\n\n{name}AsyncStub = {name}Stub  # with a channel of grpc.aio\n" for name in names)


def _write_package_files(package: Path) -> None:
    for folder in sorted({package, *(path.parent for path in package.rglob("*.py"))}):
        for level in (folder, *folder.parents):
            if level == package.parent:
                break
            (level / "__init__.py").write_text(_INIT)
    (package / "py.typed").write_text("")
