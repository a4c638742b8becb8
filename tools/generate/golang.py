"""gen/go: messages and gRPC stubs. gen/go/go.mod is maintained by hand (`go mod tidy`); generation skips it."""

from pathlib import Path

from tools.generate import protos

# `.internal` has no owner, so the path can never fetch a foreign module by mistake.
MODULE = "mailmesh.internal/gen/go"
BIN = protos.CACHE / "go" / "bin"


def generate(out: Path) -> None:
    """Writes one package for each package of the contract to `out`/go."""
    target = out / "go"
    target.mkdir(parents=True, exist_ok=True)
    arguments = []
    for kind in ("go", "go-grpc"):
        arguments += [f"--plugin=protoc-gen-{kind}={BIN / f'protoc-gen-{kind}'}", f"--{kind}_out={target}"]
        arguments += [f"--{kind}_opt={option}" for option in (f"module={MODULE}", *package_options())]
    protos.protoc(arguments, protos.contract_files())


def package_options() -> list[str]:
    """Returns an `M` option for each proto file, so that the contract needs no `go_package`."""
    return [f"M{name}={_import_path(name)}" for name in protos.contract_files()]


def _import_path(name: str) -> str:
    folder = str(Path(name).parent)
    noun, version = Path(folder).parts[-2:]
    return f"{MODULE}/{folder};{noun}{version}"
