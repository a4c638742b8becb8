"""gen/openapi/openapi.yaml: the edge's HTTP surface as one OpenAPI 3 document.

gnostic's generator makes it from the annotations; what it cannot know is put right afterwards by
`tools.generate.openapi_finish`, from the contract's own options.
"""

from pathlib import Path

import yaml
from google.protobuf import descriptor_pb2, descriptor_pool
from typing_extensions import override

from tools.documents import read_yaml
from tools.generate import golang, openapi_finish, protos, python

_OPTIONS = ("naming=json", "enum_type=string", "default_response=true", "title=mailmesh", "version=v1")


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and equal parts without aliases: readers refuse many (npm's `yaml`)."""

    @override
    def ignore_aliases(self, data: object) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def generate(out: Path) -> None:
    """Writes `out`/openapi/openapi.yaml."""
    target = out / "openapi"
    target.mkdir(parents=True, exist_ok=True)
    plugin = f"--plugin=protoc-gen-openapi={golang.BIN / 'protoc-gen-openapi'}"
    options = [f"--openapi_opt={option}" for option in (*_OPTIONS, *golang.package_options())]
    protos.protoc([plugin, *options, f"--openapi_out={target}"], protos.contract_files())
    place = target / "openapi.yaml"
    document = openapi_finish.finish(read_yaml(place.read_text()), _contract(out))
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    place.write_text(f"# Generated from proto/ by `make gen`; never edited.\n{text}")


def _contract(out: Path) -> descriptor_pool.DescriptorPool:
    """Returns the contract as it is in proto/ now, which this process may have imported in an older form."""
    python.generate_descriptor_set(out)
    files = descriptor_pb2.FileDescriptorSet.FromString((out / "mailmesh.binpb").read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool
