"""The services of the mesh as programs: started by their own commands, ready when their health service says so."""

import sys
from collections.abc import Mapping
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from stack.certificates import MESH_DOMAIN, Identity
from stack.ports import LOOPBACK, accepts
from stack.programs.program import Program

HEALTH_SECONDS = 2.0
STOP_SECONDS = 25.0
READY_SECONDS = 60.0


def service_program(
    name: str, *, service: str, mesh_name: str, port: int, environment: Mapping[str, str], operator: Identity
) -> Program:
    """Returns a service's server as a program.

    Args:
        name: Unique name of the process.
        service: Its package under services/.
        mesh_name: Its name in the mesh, which its certificate must prove.
        port: Its mesh port.
        environment: Its variables.
        operator: The identity by which it is asked for its health.
    """
    return Program(
        name=name,
        command=(sys.executable, "-m", f"services.{service}", "serve"),
        is_ready=lambda: is_serving(port, mesh_name, operator),
        environment=environment,
        stop_seconds=STOP_SECONDS,
        ready_seconds=READY_SECONDS,
    )


def worker_program(name: str, metrics_port: int, environment: Mapping[str, str]) -> Program:
    """Returns a worker of Processor as a program."""
    return Program(
        name=name,
        command=(sys.executable, "-m", "services.processor", "work"),
        is_ready=lambda: accepts(metrics_port),
        environment=environment,
        stop_seconds=STOP_SECONDS,
        ready_seconds=READY_SECONDS,
    )


def agents_program(port: int, environment: Mapping[str, str]) -> Program:
    """Returns the door of agents as a program."""
    return Program(
        name="agents",
        command=(sys.executable, "-m", "services.agents", "serve"),
        is_ready=lambda: accepts(port),
        environment=environment,
        stop_seconds=STOP_SECONDS,
        ready_seconds=READY_SECONDS,
    )


def migration_program(service: str, environment: Mapping[str, str]) -> Program:
    """Returns a service's migrations as a program that comes to an end."""
    return Program(
        name=f"migrate-{service}",
        command=(sys.executable, "-m", f"services.{service}", "migrate"),
        is_ready=bool,
        environment=environment,
    )


def restored_program(service: str, environment: Mapping[str, str]) -> Program:
    """Returns a service's steps after a restore as a program that comes to an end."""
    return Program(
        name=f"restored-{service}",
        command=(sys.executable, "-m", f"services.{service}", "restored"),
        is_ready=bool,
        environment=environment,
    )


def is_serving(port: int, mesh_name: str, operator: Identity) -> bool:
    """Asks a service of the mesh for its health.

    Args:
        port: Its loopback mesh port.
        mesh_name: The name that its certificate must prove.
        operator: The identity of the caller.

    Returns:
        Whether it serves; false while it cannot be asked.
    """
    if not accepts(port):  # A channel costs more than this question, and is asked for many times a second.
        return False
    credentials = grpc.ssl_channel_credentials(
        operator.authority.read_bytes(), operator.key.read_bytes(), operator.certificate.read_bytes()
    )
    options = [("grpc.ssl_target_name_override", f"{mesh_name}.{MESH_DOMAIN}"), ("grpc.enable_http_proxy", 0)]
    with grpc.secure_channel(f"{LOOPBACK}:{port}", credentials, options) as channel:
        try:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=HEALTH_SECONDS)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
