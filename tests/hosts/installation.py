"""The mesh on hosts: two of each service and edge, three workers, Redis, and the way to the simulated providers."""

import shutil
import socket
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from stack.addresses import Ports
from stack.certificates import MeshCertificates
from stack.environment import inherited, simulated_providers
from stack.programs.envoy import EnvoyServer
from stack.programs.program import Program
from stack.programs.redis import RedisServer
from stack.programs.running import RunningProgram, run_to_end
from stack.programs.simulator import simulator_program
from stack.vault_keys import ensure_vault_keys
from tests.hosts import clocks, earlier
from tests.hosts.programs import on_host
from tests.hosts.wire import Host
from tests.programs.output import output_of

SERVICES = {
    "token-vault": 7101,
    "ingest": 7102,
    "processor": 7103,
    "delivery": 7104,
    "primitives": 7105,
    "workflows": 7107,
}
MIGRATED = ("token-vault", "ingest", "processor", "delivery", "workflows")
WORKER_PORT = 7106
# A process answers probes and scrapers this far above its mesh port.
PROBES_ABOVE, METRICS_ABOVE = 100, 200
EDGE_PORT, EDGE_METRICS_PORT, REDIS_PORT = 8080, 9901, 6379
OUTSIDE = {"microsoft": 9441, "google": 9442, "control": 9443, "receiver": 9444, "edge": 9445}
MIGRATION_SECONDS = 300.0
ENVIRONMENT = {
    "MAILMESH_PROCESSOR_LEASE_SECONDS": "10",
    "MAILMESH_PROCESSOR_MISSING_SECONDS": "5",
    "MAILMESH_INGEST_RECONCILE_SPREAD_SECONDS": "5",
    "MAILMESH_DELIVERY_ALLOWED_NETWORKS": "127.0.0.0/8",
    "MAILMESH_DELIVERY_RETRY_SECONDS": ",".join(["1"] * 30),
    "MAILMESH_DELIVERY_FAILING_PAUSE_SECONDS": "1",
}


@dataclass
class Installation:
    """The programs of each host.

    Attributes:
        folder: A private folder with a short path: files of processes, logs.
        world: The host of the providers, the receiver and the consumer; this process is on it.
        pair: The two hosts that have one of each service and an edge.
        third: The host of the third worker and of Redis.
        clocks: By host: the seconds by which the clocks of its services and workers differ.
        earlier: By service: a tree with an earlier release, from which it runs until it is upgraded.
    """

    folder: Path
    world: Host
    pair: tuple[Host, Host]
    third: Host
    database_urls: dict[str, str]
    clocks: dict[str, int] = field(default_factory=dict)
    earlier: dict[str, Path] = field(default_factory=dict)
    running: dict[str, RunningProgram] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.certificates = MeshCertificates(self.folder / "certificates")
        self.certificates.ensure()
        for name in ("vault.keys", "delivery.keys"):
            ensure_vault_keys(self.folder / name, "first")
        self._redis = RedisServer.prepare(self.folder / "redis", REDIS_PORT)
        configuration = self.folder / "redis" / "redis.conf"
        configuration.write_text(configuration.read_text().replace("bind 127.0.0.1", f"bind {self.third.address}"))

    @property
    def redis_url(self) -> str:
        """The address of Redis."""
        return self._redis.url().replace("127.0.0.1", "redis")

    @property
    def names(self) -> dict[str, list[str]]:
        """Addresses by name, as each host resolves them."""
        both = [host.address for host in self.pair]
        single = {host.name: [host.address] for host in (*self.pair, self.third)}
        return {**dict.fromkeys(SERVICES, both), "redis": [self.third.address], **single}

    def start(self) -> None:
        """Start everything, in the order of need.

        Raises:
            ProgramError: A program does not start; the message has the end of its log.
        """
        self._begin([*self._ways(), self._simulator(), self._redis_program()])
        for service in MIGRATED:
            self.run(service, "migrate")
        self._begin(self._service(service, host) for service in SERVICES for host in self.pair)
        self._begin(self._worker(host) for host in (*self.pair, self.third))
        for host in self.pair:
            self._render(host)
        self._begin(self._edge(host) for host in self.pair)

    def run(self, service: str, command: str) -> None:
        """Run a command of a service to its end.

        Raises:
            ProgramError: It failed; the message has the end of its log.
        """
        name, host = f"{command}-{service}", self.pair[0]
        module = (sys.executable, "-m", f"services.{package(service)}", command)
        program = Program(name, module, bool, environment=self.environment(service, host))
        run_to_end(on_host(program, host), self.folder / f"{name}.log", MIGRATION_SECONDS)

    def upgrade(self, service: str) -> Iterator[str]:
        """Replace an earlier release of a service by today's: first the schema, then process by process.

        Args:
            service: One of `earlier`.

        Yields:
            A name for each step, once it is done; the caller checks the mesh then.

        Raises:
            ProgramError: A migration fails, or a process does not start.
        """
        del self.earlier[service]
        self.run(service, "migrate")
        yield "the schema is newer than all processes"
        for host in (*self.pair, self.third):
            programs = list(self._processes(service, host))
            for program in programs:
                self._replace(program)
            if programs:
                yield f"processes on {host.name} are replaced"
        if service == "processor":
            self.run(service, "add-lanes")
            yield "the lanes are added"
            self.run(service, "seal-cursors")
            yield "the cursors of limited keys are sealed"

    def _processes(self, service: str, host: Host) -> Iterator[Program]:
        """The processes of a service on a host: the server, and the worker of Processor."""
        if host in self.pair:
            yield self._service(service, host)
        if service == "processor":
            yield self._worker(host)

    def _replace(self, program: Program) -> None:
        running = self.running[program.name]
        running.program = program
        running.restart()

    def create_admin_key(self) -> str:
        """Make an admin key by TokenVault's command, and return it.

        Raises:
            ProgramError: The command failed; with its words.
        """
        command = (sys.executable, "-m", "services.token_vault", "create-admin-key", "--name", "hosts")
        environment = self.environment("token-vault", self.pair[0])
        program = on_host(Program("create-admin-key", command, bool, environment), self.pair[0])
        return output_of(program, self.folder, 60.0).split()[-1]

    def on(self, host: Host) -> list[RunningProgram]:
        """Return the programs of a host, its way to the world among them."""
        return [one for name, one in self.running.items() if name.endswith(f"@{host.name}")]

    def restart(self, names: Iterable[str]) -> None:
        """Restart processes one after the other, each ready before the next one goes."""
        for name in names:
            self.running[name].restart()

    def renew_certificates(self) -> None:
        """Replace every certificate and key by a new one of the same authority, as the running stack does."""
        fresh = MeshCertificates(self.folder / "renewed")
        fresh.folder.mkdir(mode=0o700)
        for name in ("ca.pem", "ca.key"):
            shutil.copy(self.certificates.folder / name, fresh.folder / name)
        # A key is there before its certificate.
        for name in sorted(fresh.ensure()):
            old, new = self.certificates.identity(name), fresh.identity(name)
            new.key.replace(old.key)
            new.certificate.replace(old.certificate)
        shutil.rmtree(fresh.folder)

    def stop(self) -> None:
        """Stop everything, the newest first."""
        for running in reversed(self.running.values()):
            running.stop()

    def environment(self, service: str, host: Host) -> dict[str, str]:
        """Return the variables of a service's process on a host."""
        identity, port = self.certificates.identity(service), SERVICES[service]
        providers = simulated_providers(
            Ports({"simulator-microsoft": OUTSIDE["microsoft"], "simulator-google": OUTSIDE["google"]}),
            self.certificates.identity("simulator"),
        )
        own = {
            "token-vault": {"MAILMESH_VAULT_KEYS_FILE": str(self.folder / "vault.keys")},
            "delivery": {"MAILMESH_DELIVERY_KEYS_FILE": str(self.folder / "delivery.keys")},
            "ingest": {"MAILMESH_INGEST_EDGE_ADMIN_URLS": ",".join(self._edge_metrics())},
        }
        certificate = {
            "MAILMESH_TLS_CERT": str(identity.certificate),
            "MAILMESH_TLS_KEY": str(identity.key),
            "MAILMESH_TLS_CA": str(identity.authority),
            "MAILMESH_METRICS_LISTEN": f"{host.address}:{port + METRICS_ABOVE}",
            "MAILMESH_HEALTH_LISTEN": f"{host.address}:{port + PROBES_ABOVE}",
            "MAILMESH_LISTEN": f"{host.address}:{port}",
        }
        if service == "primitives":
            return certificate
        release = earlier.environment(self.earlier[service]) if service in self.earlier else {}
        return {
            **release,
            **ENVIRONMENT,
            **inherited(providers, package(service)),
            **certificate,
            "MAILMESH_DATABASE_URL": self.database_urls[package(service)],
            "MAILMESH_REDIS_URL": self.redis_url,
            "MAILMESH_PUBLIC_URL": f"http://127.0.0.1:{OUTSIDE['edge']}",
            "MAILMESH_TOKEN_VAULT_ADDRESS": "token-vault:7101",
            "MAILMESH_INGEST_ADDRESS": "ingest:7102",
            "MAILMESH_PROCESSOR_ADDRESS": "processor:7103",
            "MAILMESH_DELIVERY_ADDRESS": "delivery:7104",
            "MAILMESH_WORKFLOWS_ADDRESS": "workflows:7107",
            **own.get(service, {}),
        }

    def _edge_metrics(self) -> list[str]:
        return [f"http://{host.name}:{EDGE_METRICS_PORT}" for host in self.pair]

    def _begin(self, programs: Iterable[Program]) -> None:
        started = [self._run(program) for program in programs]
        for running in started:
            running.wait_until_ready()

    def _run(self, program: Program) -> RunningProgram:
        running = RunningProgram(program, self.folder / f"{program.name}.log")
        self.running[program.name] = running
        return running

    def _ways(self) -> list[Program]:
        """The way from each host to the providers and the receiver, and the balancer before the edges."""
        shared = [OUTSIDE[name] for name in ("microsoft", "google", "receiver")]
        edges = ",".join(f"{host.address}:{EDGE_PORT}" for host in self.pair)
        world = [f"{self.world.address}:{port}=127.0.0.1:{port}" for port in shared]
        ways = {self.world: [*world, f"127.0.0.1:{OUTSIDE['edge']}={edges}"]}
        ways |= {
            host: [f"127.0.0.1:{port}={self.world.address}:{port}" for port in shared]
            for host in (*self.pair, self.third)
        }
        return [
            on_host(
                Program(f"way@{host.name}", (sys.executable, "-m", "tests.hosts.relay", *rules), lambda: True), host
            )
            for host, rules in ways.items()
        ]

    def _simulator(self) -> Program:
        ports = {name: OUTSIDE[name] for name in ("microsoft", "google", "control")}
        pushes = ("--push-endpoint", f"http://127.0.0.1:{OUTSIDE['edge']}/api/googlews/webhook")
        program = simulator_program(ports, self.certificates.identity("simulator"), pushes)
        return on_host(program, self.world)

    def _redis_program(self) -> Program:
        program = replace(self._redis.program(), is_ready=lambda: _accepts(self.third.address, REDIS_PORT))
        return on_host(replace(program, name=f"redis@{self.third.name}"), self.third)

    def _service(self, service: str, host: Host) -> Program:
        command = (sys.executable, "-m", f"services.{package(service)}", "serve")
        return self._probed(service, command, self.environment(service, host), host, SERVICES[service])

    def _worker(self, host: Host) -> Program:
        command = (sys.executable, "-m", "services.processor", "work")
        environment = self.environment("processor", host)
        environment["MAILMESH_METRICS_LISTEN"] = f"{host.address}:{WORKER_PORT + METRICS_ABOVE}"
        environment["MAILMESH_HEALTH_LISTEN"] = f"{host.address}:{WORKER_PORT + PROBES_ABOVE}"
        del environment["MAILMESH_LISTEN"]
        return self._probed("worker", command, environment, host, WORKER_PORT)

    def _probed(
        self, name: str, command: tuple[str, ...], environment: dict[str, str], host: Host, port: int
    ) -> Program:
        probe = f"http://{host.address}:{port + PROBES_ABOVE}/ready"
        environment = environment | clocks.environment(self.clocks.get(host.name, 0))
        program = Program(
            f"{name}@{host.name}", command, lambda: _is_ok(probe), environment, stop_seconds=25.0, ready_seconds=180.0
        )
        return on_host(program, host)

    def _render(self, host: Host) -> None:
        folder = self._edge_folder(host)
        folder.mkdir(mode=0o700)
        command = (sys.executable, "-m", "gateway", "render", str(folder))
        program = Program(f"render@{host.name}", command, bool, self._edge_environment(host))
        run_to_end(on_host(program, host), self.folder / f"render@{host.name}.log", 60.0)

    def _edge(self, host: Host) -> Program:
        program = EnvoyServer(self._edge_folder(host) / "envoy.yaml").program(f"edge@{host.name}")
        return on_host(program, host)

    def _edge_folder(self, host: Host) -> Path:
        return self.folder / f"edge-{host.name}"

    def _edge_environment(self, host: Host) -> dict[str, str]:
        told = self.environment("ingest", host)
        kept = ("MAILMESH_PUBLIC_URL", "MAILMESH_TLS_CA", "MAILMESH_PROVIDER_CA", "MAILMESH_GOOGLEWS_")
        identity = self.certificates.identity("envoy")
        addresses = {
            f"MAILMESH_{service.upper().replace('-', '_')}_ADDRESS": ",".join(f"{one.name}:{port}" for one in self.pair)
            for service, port in SERVICES.items()
        }
        return {
            **{name: value for name, value in told.items() if name.startswith(kept)},
            **addresses,
            "MAILMESH_TLS_CERT": str(identity.certificate),
            "MAILMESH_TLS_KEY": str(identity.key),
            "MAILMESH_EDGE_LISTEN": f"{host.address}:{EDGE_PORT}",
            "MAILMESH_EDGE_METRICS_LISTEN": f"{host.address}:{EDGE_METRICS_PORT}",
            "MAILMESH_EDGE_METRICS_HOSTS": host.name,
        }


def package(service: str) -> str:
    """Return the package of a service under services/."""
    return service.replace("-", "_")


def _accepts(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False


def _is_ok(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
