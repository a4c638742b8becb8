"""Certificates of the mesh for tests, made once."""

from pathlib import Path

import pytest

from stack.certificates import MeshCertificates


@pytest.fixture(scope="session")
def certificates(short_folder: Path) -> MeshCertificates:
    """The mesh's authority and a certificate for each identity: `certificates.identity("ingest").key`."""
    made = MeshCertificates(short_folder / "certificates")
    made.ensure()
    return made
