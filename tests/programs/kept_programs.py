"""The programs of the kept part of the mesh, with their settings."""

from collections.abc import Mapping
from pathlib import Path

from gateway.render import render
from gateway.settings import EdgeSettings
from services.meshkit.settings import load
from stack.certificates import MeshCertificates
from stack.programs.envoy import EnvoyServer
from stack.programs.program import Program
from stack.programs.services import service_program
from tests.programs.simulator import RunningSimulator


def mesh_variables(
    told: Mapping[str, str], certificates: MeshCertificates, name: str, database_url: str, port: int, metrics: int
) -> dict[str, str]:
    """Return the variables of a service's process."""
    identity = certificates.identity(name)
    return {
        **told,
        "MAILMESH_DATABASE_URL": database_url,
        "MAILMESH_LISTEN": f"127.0.0.1:{port}",
        "MAILMESH_METRICS_LISTEN": f"127.0.0.1:{metrics}",
        "MAILMESH_TLS_CERT": str(identity.certificate),
        "MAILMESH_TLS_KEY": str(identity.key),
        "MAILMESH_TLS_CA": str(identity.authority),
    }


def mesh_service(
    certificates: MeshCertificates,
    mesh_name: str,
    service: str,
    port: int,
    environment: Mapping[str, str],
    name: str = "",
) -> Program:
    """Return a service's server; its name is that of the service unless another is given."""
    return service_program(
        name or mesh_name,
        service=service,
        mesh_name=mesh_name,
        port=port,
        environment=environment,
        operator=certificates.identity("operator"),
    )


def edge_program(
    certificates: MeshCertificates,
    simulator: RunningSimulator,
    folder: Path,
    ports: tuple[int, int, int, int, int, int],
) -> Program:
    """Return Envoy, with its configuration written to the folder."""
    vault, first, second, processor, edge, metrics = ports
    identity = certificates.identity("envoy")
    settings = load(
        EdgeSettings,
        listen=f"127.0.0.1:{edge}",
        metrics_listen=f"127.0.0.1:{metrics}",
        mesh_certificate=identity.certificate,
        mesh_key=identity.key,
        mesh_authority=identity.authority,
        token_vault=(f"127.0.0.1:{vault}",),
        ingest=(f"127.0.0.1:{first}", f"127.0.0.1:{second}"),
        processor=(f"127.0.0.1:{processor}",),
        public_url=f"http://127.0.0.1:{edge}",
        push_audience=simulator.settings["MAILMESH_GOOGLEWS_PUBSUB_AUDIENCE"],
        push_issuer=simulator.settings["MAILMESH_GOOGLEWS_ISSUER"],
        push_certs_url=simulator.settings["MAILMESH_GOOGLEWS_CERTS_URL"],
        provider_ca=simulator.ca_file,
    )
    return EnvoyServer(render(settings, folder)).program()
