"""gen/ts: messages and service descriptors of protobuf-es, for Connect over gRPC and gRPC-Web."""

from pathlib import Path

from tools.generate import protos


def generate(out: Path) -> None:
    """Writes one `_pb.ts` for each proto file to `out`/ts, those of google/api and google/rpc included.

    The latter are imported by the contract's own modules, and no package publishes them.
    """
    target = out / "ts"
    target.mkdir(parents=True, exist_ok=True)
    plugin = f"--plugin=protoc-gen-es={protos.ROOT / 'node_modules/.bin/protoc-gen-es'}"
    options = ["--es_opt=target=ts", "--es_opt=import_extension=js"]
    protos.protoc([plugin, *options, f"--es_out={target}"], [*protos.contract_files(), *protos.THIRD_PARTY_FILES])
