"""Ways into a running mesh: its mesh ports by certificate, and its edge by key."""

import json

import grpc
import httpx

from tests.programs.mesh import Mesh

HOMES = {
    "vault": ("token-vault", "token-vault"),
    "ingest": ("ingest-1", "ingest"),
    "processor": ("processor", "processor"),
    "delivery": ("delivery", "delivery"),
    "primitives": ("primitives", "primitives"),
    "workflow": ("workflows", "workflows"),
}
CALL_SECONDS = 60.0


def port_of(mesh: Mesh, name: str) -> int:
    """Return the loopback port of a part of the mesh."""
    return int(json.loads((mesh.data / "ports.json").read_text())[name])


def mesh_channel(mesh: Mesh, identity: str, package: str) -> grpc.Channel:
    """Open a channel directly to a service's mesh port, with a mesh certificate."""
    folder = mesh.data / "certificates"
    port_name, peer = HOMES[package]
    credentials = grpc.ssl_channel_credentials(
        (folder / "ca.pem").read_bytes(),
        (folder / f"{identity}.key").read_bytes(),
        (folder / f"{identity}.pem").read_bytes(),
    )
    options = [("grpc.ssl_target_name_override", f"{peer}.mailmesh.internal")]
    return grpc.secure_channel(f"127.0.0.1:{port_of(mesh, port_name)}", credentials, options)


def rest(mesh: Mesh, key: str = "") -> httpx.Client:
    """Open an HTTP client at the edge, with a key if there is one."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.Client(base_url=mesh.ready.http, headers=headers, timeout=CALL_SECONDS, trust_env=False)
