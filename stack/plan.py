"""The programs of a stack with their variables, in stages that start one after the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stack.addresses import EDGE, ENVOY_METRICS, Ports
from stack.backup.program import archiver_program
from stack.certificates import Identity
from stack.data_directory import DataDirectory
from stack.environment import (
    ONE_MACHINE,
    Servers,
    inherited,
    listening,
    mesh_environment,
    primitives_environment,
    simulated_model,
    simulated_platform,
    simulated_providers,
)
from stack.open_files import edge_connections
from stack.options import UpOptions
from stack.ports import LOOPBACK
from stack.programs.envoy import EnvoyServer
from stack.programs.postgres import PostgresServer
from stack.programs.program import Program
from stack.programs.prometheus import PrometheusServer
from stack.programs.redis import RedisServer
from stack.programs.services import (
    agents_program,
    migration_program,
    restored_program,
    service_program,
    worker_program,
)
from stack.programs.simulator import simulator_program

AGENTS = "agents"
ENVOY = "envoy"
PROMETHEUS = "prometheus"
METRICS = "-metrics"
PRIMITIVES = "primitives"
WORKFLOWS = "workflows"
# Variables that the edge must not have.
STORES = ("MAILMESH_DATABASE_URL", "MAILMESH_REDIS_URL")
MODEL_URL = "MAILMESH_PROCESSOR_MODEL_URL"
SIMULATOR_PORTS = ("simulator-microsoft", "simulator-google", "simulator-control")


@dataclass(frozen=True)
class Plan:
    """The programs of a stack.

    Attributes:
        servers: First stage: the servers that everything else needs.
        migrations: Programs that end, run once the database is there.
        restored: Programs that end, run after the migrations when the database was restored from a backup.
        services: Second stage: the services of the mesh.
        edge: Last stage: the workers, and the door.
    """

    servers: tuple[Program, ...]
    migrations: tuple[Program, ...]
    restored: tuple[Program, ...]
    services: tuple[Program, ...]
    edge: tuple[Program, ...]

    @property
    def stages(self) -> tuple[tuple[Program, ...], ...]:
        """The programs that keep running, in the order of their start."""
        return (self.servers, self.services, self.edge)

    @property
    def programs(self) -> dict[str, Program]:
        """The programs that keep running, by name."""
        return {program.name: program for stage in self.stages for program in stage}


def ingest_names(options: UpOptions) -> list[str]:
    """Returns the names of Ingest's processes."""
    return [f"ingest-{number}" for number in range(1, options.ingest_processes + 1)]


def worker_names(options: UpOptions) -> list[str]:
    """Returns the names of the workers."""
    return [f"worker-{number}" for number in range(1, options.workers + 1)]


def port_names(options: UpOptions) -> list[str]:
    """Returns the listeners that need a port, without the edge."""
    serving = ["token-vault", *ingest_names(options), "processor", "delivery", PRIMITIVES, WORKFLOWS]
    with_metrics = [*serving, *worker_names(options)]
    optional = [*([AGENTS] if options.has_agents else []), *([PROMETHEUS] if options.has_watch_ui else [])]
    return [
        *serving,
        *(f"{name}-metrics" for name in with_metrics),
        *optional,
        "redis",
        ENVOY_METRICS,
        *SIMULATOR_PORTS,
    ]


@dataclass(frozen=True)
class Planner:
    """Makes the plan.

    Args:
        options: The options of the command line.
        data: The data directory, prepared.
        ports: A port for each of `port_names`.
        servers: Where PostgreSQL, Redis and the edge are found.
        environment: Our own environment.
        postgres: PostgreSQL, unless an existing server is used.
        redis: Redis, unless an existing server is used.
        sockets: Folder for unix sockets.
    """

    options: UpOptions
    data: DataDirectory
    ports: Ports
    servers: Servers
    environment: Mapping[str, str]
    postgres: PostgresServer | None
    redis: RedisServer | None
    sockets: Path

    def plan(self) -> Plan:
        """Returns everything that runs."""
        return Plan(
            servers=tuple(self._servers()),
            migrations=tuple(
                migration_program(service, self._mesh(service, mesh_name))
                for service, mesh_name in (
                    ("token_vault", "token-vault"),
                    ("ingest", "ingest"),
                    ("processor", "processor"),
                    ("delivery", "delivery"),
                    (WORKFLOWS, WORKFLOWS),
                )
            ),
            restored=tuple(
                restored_program(service, self._mesh(service, mesh_name))
                for service, mesh_name in (
                    ("token_vault", "token-vault"),
                    ("ingest", "ingest"),
                    ("processor", "processor"),
                )
            ),
            services=(*self._archiver(), *self._services()),
            edge=(*self._workers(), *self._agents(), *self._prometheus(), self._envoy()),
        )

    def vault_environment(self) -> dict[str, str]:
        """Returns TokenVault's variables, for its commands."""
        return self._mesh("token_vault", "token-vault")

    def edge_environment(self) -> dict[str, str]:
        """Returns the variables from which the edge's configuration is rendered."""
        identity = self.data.certificates.identity("envoy")
        mesh = self._told("ingest", identity)
        return {
            "MAILMESH_EDGE_CONNECTIONS": str(edge_connections()),
            **inherited(self.environment),
            **{name: value for name, value in mesh.items() if name not in STORES},
            **inherited(self._providers()),
            "MAILMESH_INGEST_ADDRESS": ",".join(self.ports.address(name) for name in ingest_names(self.options)),
            "MAILMESH_EDGE_LISTEN": self.ports.address(EDGE),
            "MAILMESH_EDGE_ADMIN_LISTEN": str(self._envoy_admin),
            "MAILMESH_EDGE_METRICS_LISTEN": self.ports.address(ENVOY_METRICS),
            **({"MAILMESH_AGENTS_ADDRESS": self.ports.address(AGENTS)} if self.options.has_agents else {}),
        }

    def _servers(self) -> Sequence[Program]:
        programs = [server.program() for server in (self.postgres, self.redis) if server is not None]
        if self.options.wants_simulator(self.environment):
            programs.append(self._simulator())
        return programs

    def _archiver(self) -> Sequence[Program]:
        archive = self.options.wal_archive
        if archive is None or self.postgres is None:
            return []
        gigabytes, days = self.options.wal_archive_gigabytes, self.options.wal_archive_days
        return [archiver_program(self.postgres, archive.resolve(), gigabytes, days, self.data.wal_archiver)]

    def _services(self) -> Sequence[Program]:
        serving = [("token-vault", "token_vault", "token-vault")]
        serving += [(name, "ingest", "ingest") for name in ingest_names(self.options)]
        serving += [("processor", "processor", "processor"), ("delivery", "delivery", "delivery")]
        serving += [(WORKFLOWS, WORKFLOWS, WORKFLOWS)]
        operator = self.data.certificates.identity("operator")
        return [
            service_program(
                name,
                service=service,
                mesh_name=mesh_name,
                port=self.ports[name],
                environment=self._process(name, service, mesh_name),
                operator=operator,
            )
            for name, service, mesh_name in serving
        ] + [self._primitives(operator)]

    def _primitives(self, operator: Identity) -> Program:
        identity = self.data.certificates.identity(PRIMITIVES)
        return service_program(
            PRIMITIVES,
            service="primitives",
            mesh_name=PRIMITIVES,
            port=self.ports[PRIMITIVES],
            environment=primitives_environment(self.environment, identity) | listening(self.ports, PRIMITIVES),
            operator=operator,
        )

    def _workers(self) -> Sequence[Program]:
        return [
            worker_program(name, self.ports[f"{name}-metrics"], self._process(name, "processor", "processor"))
            for name in worker_names(self.options)
        ]

    def _agents(self) -> Sequence[Program]:
        if not self.options.has_agents:
            return []
        identity = self.data.certificates.identity(AGENTS)
        # Nothing of the mesh's own environment: the door has no database and no key.
        log_level = {name: value for name, value in self.environment.items() if name == "MAILMESH_LOG_LEVEL"}
        own = {
            "MAILMESH_AGENTS_LISTEN": self.ports.address(AGENTS),
            "MAILMESH_AGENTS_EDGE": edge_url(self.ports),
            "MAILMESH_TLS_CERT": str(identity.certificate),
            "MAILMESH_TLS_KEY": str(identity.key),
            "MAILMESH_TLS_CA": str(identity.authority),
        }
        given = {name: value for name, value in self.environment.items() if name.startswith("MAILMESH_AGENTS_")}
        return [agents_program(self.ports[AGENTS], given | log_level | own)]

    def _prometheus(self) -> Sequence[Program]:
        if not self.options.has_watch_ui:
            return []
        folder = self.data.root / PROMETHEUS
        return [PrometheusServer(folder, self.ports[PROMETHEUS], metrics_urls(self.ports)).program()]

    def _envoy(self) -> Program:
        server = EnvoyServer(self.data.edge / "envoy.yaml", self._envoy_admin)
        return replace(server.program(ENVOY), is_ready=server.has_found_services)

    @property
    def _envoy_admin(self) -> Path:
        return self.sockets / "envoy-admin.sock"

    def _simulator(self) -> Program:
        ports = {name.removeprefix("simulator-"): self.ports[name] for name in SIMULATOR_PORTS}
        identity = self.data.certificates.identity("simulator")
        pushes = ("--push-endpoint", f"{edge_url(self.ports)}/api/googlews/webhook")
        kept = ("--state", str(self.data.simulator))
        return simulator_program(ports, identity, (*pushes, *kept, *self.options.simulator_options))

    def _process(self, name: str, service: str, mesh_name: str) -> dict[str, str]:
        return self._mesh(service, mesh_name) | listening(self.ports, name)

    def _mesh(self, service: str, mesh_name: str) -> dict[str, str]:
        identity = self.data.certificates.identity(mesh_name)
        return {
            **ONE_MACHINE,
            **inherited(self.environment, service),
            **self._told(service, identity),
            **inherited(self._providers(), service),
        }

    def _told(self, service: str, identity: Identity) -> dict[str, str]:
        names = ingest_names(self.options)
        return mesh_environment(
            service, identity, ports=self.ports, servers=self.servers, data=self.data, ingest_names=names
        )

    def _providers(self) -> dict[str, str]:
        if not self.options.wants_simulator(self.environment):
            return {}
        providers = simulated_providers(self.ports, self.data.certificates.identity("simulator"))
        providers |= simulated_platform(self.ports)
        return providers if MODEL_URL in self.environment else providers | simulated_model(self.ports)


def metrics_urls(ports: Ports) -> dict[str, str]:
    """Returns the address of each process's metrics, by the process's name."""
    names = [name for name in ports.numbers if name.endswith(METRICS)]
    return {name.removesuffix(METRICS): _metrics_url(ports, name) for name in names}


def _metrics_url(ports: Ports, name: str) -> str:
    path = "/stats/prometheus" if name == ENVOY_METRICS else "/metrics"
    return f"http://{ports.address(name)}{path}"


def edge_url(ports: Ports) -> str:
    """Returns the edge's address on this machine."""
    return f"http://{LOOPBACK}:{ports[EDGE]}"
