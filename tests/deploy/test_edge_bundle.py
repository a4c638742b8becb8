"""The edge's configuration for an Envoy in its own image, with certificates as an orchestrator lays them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.render import render
from gateway.settings import EdgeSettings
from services.meshkit.settings import load
from stack.certificates import MeshCertificates
from stack.programs.envoy import envoy_binary


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """The edge's certificate in a folder like those of mounted secrets: links over a link to a dated folder."""
    made = MeshCertificates(tmp_path / "made")
    made.ensure()
    identity, mount = made.identity("envoy"), tmp_path / "mount"
    (mount / "..2026_11_28").mkdir(parents=True)
    for name, path in (("tls.crt", identity.certificate), ("tls.key", identity.key), ("ca.crt", identity.authority)):
        shutil.copyfile(path, mount / "..2026_11_28" / name)
        (mount / name).symlink_to(f"..data/{name}")
    (mount / "..data").symlink_to("..2026_11_28")
    return mount


def rendered(mounted: Path, folder: Path) -> Path:
    folder.mkdir()
    settings = load(
        EdgeSettings,
        mesh_certificate=mounted / "tls.crt",
        mesh_key=mounted / "tls.key",
        mesh_authority=mounted / "ca.crt",
        agents=("127.0.0.1:7106",),
    )
    return render(settings, folder, is_bundle=True)


def test_renewed_secrets_are_found_where_an_orchestrator_moves_its_link(mounted: Path, tmp_path: Path) -> None:
    folder = rendered(mounted, tmp_path / "edge").parent

    secret = json.loads((folder / "mesh-certificate.json").read_text())["resources"][0]["tls_certificate"]
    assert secret["certificate_chain"]["filename"] == str(mounted / "tls.crt")
    assert secret["private_key"]["filename"] == str(mounted / "tls.key")
    assert secret["watched_directory"]["path"] == str(mounted)


def test_a_bundle_names_no_file_of_the_services_image(mounted: Path, tmp_path: Path) -> None:
    path = rendered(mounted, tmp_path / "edge")

    named = set(re.findall(r'"?(/[^\s"\']+\.(?:binpb|json|html|js|css))"?', path.read_text()))
    ours = {name for name in named if Path(name).exists() and not name.startswith(str(path.parent))}
    assert ours == set()
    assert (path.parent / "mailmesh.binpb").is_file()
    assert (path.parent / "console" / "index.html").is_file()


def test_envoy_accepts_a_bundle(mounted: Path, tmp_path: Path) -> None:
    path = rendered(mounted, tmp_path / "edge")

    command = (envoy_binary(), "--mode", "validate", "--log-level", "error", "--config-path", str(path))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
