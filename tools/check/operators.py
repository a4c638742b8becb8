"""Objects of operators in the chart: cert-manager, KEDA and the Prometheus operator publish schemas with their CRDs.

The schemas come from the operators' own Go modules, whose content the checksums below prove. kubeconform holds the
objects against them. CloudNativePG's module is not on Go's proxy, so its objects are rendered only.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tools.check.outcome import CheckError, Skipped
from tools.documents import read_yaml_documents
from tools.generate.protos import ROOT

PROGRAM = ROOT / ".cache" / "kubernetes" / "bin" / "kubeconform"
SCHEMAS = ROOT / ".cache" / "kubernetes" / "schemas"
GROUPS = ("cert-manager.io/", "keda.sh/", "monitoring.coreos.com/")
# Module and version, Go's checksum of its content, and the CRDs of the chart's objects in it.
MODULES = (
    (
        "github.com/cert-manager/cert-manager@v1.21.2",
        "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68=",
        ("deploy/crds/cert-manager.io_certificates.yaml", "deploy/crds/cert-manager.io_issuers.yaml"),
    ),
    (
        "github.com/kedacore/keda/v2@v2.21.0",
        "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=",
        ("config/crd/bases/keda.sh_scaledobjects.yaml",),
    ),
    (
        "github.com/prometheus-operator/prometheus-operator@v0.85.0",
        "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
        ("example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",),
    ),
)
_LOCATION = "{{.Group}}/{{.ResourceKind}}_{{.ResourceAPIVersion}}.json"
_SECONDS = 240


def lay_schemas() -> None:
    """Write the operators' schemas as kubeconform reads them. Safe to call again: yes.

    Raises:
        CheckError: A module cannot be fetched, or is another one than before.
    """
    for module, checksum, files in MODULES:
        folder = _module(module, checksum)
        for file in files:
            for definition in read_yaml_documents((folder / file).read_text()):
                for path, schema in _schemas(definition):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(json.dumps(schema))


def validate(documents: list[dict[str, Any]], name: str) -> None:
    """Hold objects of operators against their schemas; a field that a schema lacks is a fault.

    Raises:
        CheckError: An object does not fit; with kubeconform's words.
        Skipped: kubeconform is not built.
    """
    if not PROGRAM.exists() or not SCHEMAS.exists():
        raise Skipped("kubeconform is not built: `make check` builds it where Go is installed")
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump_all(documents, file)
        file.flush()
        command = (str(PROGRAM), "-strict", "-schema-location", str(SCHEMAS / _LOCATION), file.name)
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode != 0:
        raise CheckError(f"{name}: {done.stdout}{done.stderr}")


def _module(module: str, checksum: str) -> Path:
    go = shutil.which("go")
    if go is None:
        raise Skipped("Go is not installed")
    command = (go, "mod", "download", "-json", module)
    with tempfile.TemporaryDirectory() as outside:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False, cwd=outside)
    found = json.loads(done.stdout) if done.returncode == 0 else {}
    if found.get("Sum") != checksum:
        raise CheckError(f"{module} cannot be fetched, or has changed: {found.get('Sum')} {done.stderr}")
    return Path(found["Dir"])


def _schemas(definition: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    spec = definition["spec"]
    for version in spec["versions"]:
        schema = version["schema"]["openAPIV3Schema"]
        _close(schema)
        yield SCHEMAS / spec["group"] / f"{spec['names']['kind'].lower()}_{version['name']}.json", schema


def _close(schema: Any) -> None:
    """Refuse fields that an object's schema does not name, which the API server drops silently."""
    if isinstance(schema, list):
        for one in schema:
            _close(one)
    if not isinstance(schema, dict):
        return
    is_open = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and "type" in schema and not is_open:
        schema["additionalProperties"] = False
    for one in schema.values():
        _close(one)


if __name__ == "__main__":
    lay_schemas()
