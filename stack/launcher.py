"""Runs the stack: prepares it, starts it stage by stage, watches it, stops it."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from stack.addresses import Ports, choose_ports
from stack.admin_key import ensure_admin_key
from stack.backup.restore import is_to_be_settled
from stack.data_directory import DataDirectory
from stack.environment import Servers
from stack.errors import StackError, StartError, StoppedError, describe
from stack.open_files import raise_open_files
from stack.options import UpOptions
from stack.plan import ENVOY, PROMETHEUS, Plan, Planner, edge_url, metrics_urls, port_names
from stack.prepare import (
    EdgeRendering,
    admin_url_of,
    check_archive,
    database_urls,
    end_unused_archives,
    is_temporary,
    migrate,
    prepare_databases,
    remove_socket_folder,
    settle_restored,
    socket_folder,
)
from stack.programs.postgres import PostgresServer
from stack.programs.program import Program
from stack.programs.prometheus import page_url
from stack.programs.redis import RedisServer
from stack.programs.remains import outlast
from stack.programs.roles import load_passwords
from stack.ready import Ready, SimulatorAddresses
from stack.report import Report
from stack.supervision.configuration import write_configuration
from stack.supervision.supervisor import Supervisor
from stack.vault_keys import ensure_vault_keys
from stack.watch import Watch

POLL_SECONDS = 0.05
ASK_SECONDS = 1.0
STOP_SLACK_SECONDS = 10.0
# After the supervisor died: the delay before each new try grows up to this. Before the first success there is none.
LONGEST_RETRY_SECONDS = 30.0
REMAINS_SECONDS = 40.0


@dataclass(frozen=True)
class Prepared:
    """The state of the launcher before the first program starts."""

    plan: Plan
    planner: Planner
    admin_url: str
    passwords: dict[str, str]
    sockets: Path


class Launcher:
    """One run of the stack.

    Args:
        options: How to run it.
        report: Receives the messages for the person at the terminal.
        environment: Our own environment.
        stop: An event that stops the stack when it is set.
    """

    def __init__(
        self, options: UpOptions, report: Report, environment: Mapping[str, str], stop: threading.Event
    ) -> None:
        self._options = options
        self._report = report
        self._environment = environment
        self._stop = stop
        self._data = DataDirectory(options.data.resolve())
        self._has_run = False

    def run(self) -> None:
        """Runs the stack until the event `stop` is set.

        Raises:
            StackError: It cannot start; the message says why.
            OSError: A file cannot be written before the first start.
        """
        raise_open_files()
        self._data.root.mkdir(parents=True, exist_ok=True)
        with self._data.locked() as lock, contextlib.suppress(StoppedError):
            self._data.ready_file.unlink(missing_ok=True)
            with self._prepared() as prepared:
                self._keep_running(prepared, lock)

    def _keep_running(self, prepared: Prepared, lock: int) -> None:
        """Runs everything; when the supervisor was killed, which takes its programs along, everything starts again.

        Once everything has run, no failure ends this: a full disk has room again, a program starts at last.
        """
        delay = 0.0
        while not self._stop.is_set():
            try:
                self._run_once(prepared, lock)
                delay = 1.0
            except StoppedError:
                raise
            except Exception as fault:
                if not self._has_run:
                    raise
                delay = min(2 * delay + 1.0, LONGEST_RETRY_SECONDS)
                self._report.warn(f"{_reason(fault)}; trying again in {delay:g} s")
                self._stop.wait(delay)

    def _run_once(self, prepared: Prepared, lock: int) -> None:
        """Runs everything once, until `stop` is set or the supervisor is gone."""
        supervisor = self._supervisor(prepared, lock)
        try:
            ready = self._start(prepared, supervisor)
            self._has_run = True
            watch = Watch(supervisor, self._data, ready, self._report)
            watch.run(self._stop)
            if not supervisor.is_running:
                self._withdraw_ready()
                outlast(watch.processes, REMAINS_SECONDS)
        finally:
            self._end(supervisor)

    def _start(self, prepared: Prepared, supervisor: Supervisor) -> Ready:
        started = time.monotonic()
        plan, planner = prepared.plan, prepared.planner
        with contextlib.closing(EdgeRendering(planner.edge_environment(), self._data.edge)) as rendering:
            supervisor.start()
            with ThreadPoolExecutor(1) as aside:
                begun = self._begin_servers(supervisor, plan.servers, aside)
                with self._report.step("Bringing databases up to date", "databases are up to date"):
                    prepare_databases(prepared.admin_url, prepared.passwords, planner.postgres)
                    migrate(prepared.admin_url, plan, self._data)
                    end_unused_archives(planner)
                    settle_restored(plan, self._data, self._environment)
                    warnings = rendering.wait()
                for one in begun:
                    one.result()
            self._start_stage(supervisor, plan.servers, "Starting servers")
        for warning in warnings:
            self._report.warn(warning)
        # Envoy reads its configuration while the services start, and asks for each until it answers.
        supervisor.start_program(ENVOY)
        self._start_stage(supervisor, plan.services, "Starting services")
        self._start_stage(supervisor, plan.edge, "Opening the edge")
        ensure_admin_key(self._data.admin_key, planner.vault_environment(), edge_url(planner.ports))
        ready = self._ready(planner, supervisor)
        ready.write(self._data.ready_file)
        self._report.ready(ready, time.monotonic() - started)
        return ready

    def _begin_servers(
        self, supervisor: Supervisor, servers: Sequence[Program], aside: ThreadPoolExecutor
    ) -> "list[Future[None]]":
        """Starts the servers, and waits for PostgreSQL and Redis alone.

        The start of the first program in Python lasts while the supervisor imports what all of them share.
        """
        in_python = [program for program in servers if program.command[0] == sys.executable]
        others = [program for program in servers if program not in in_python]
        for program in others:
            supervisor.start_program(program.name)
        begun = [aside.submit(supervisor.start_program, program.name) for program in in_python]
        for program in others:
            self._wait_for(supervisor, program)
        return begun

    def _start_stage(self, supervisor: Supervisor, programs: Sequence[Program], doing: str) -> None:
        if not programs:
            return
        names = ", ".join(program.name for program in programs)
        with self._report.step(f"{doing}: {names}", f"{names}"):
            for program in programs:
                supervisor.start_program(program.name)
            for program in programs:
                self._await(supervisor, program)

    def _await(self, supervisor: Supervisor, program: Program) -> None:
        try:
            self._wait_for(supervisor, program)
        except StartError as fault:
            if program.is_needed:
                raise
            for line in str(fault).splitlines():
                self._report.warn(line)
            self._report.warn("The mesh starts without it: `mailmesh doctor` says when it works again.")

    def _wait_for(self, supervisor: Supervisor, program: Program) -> None:
        began = time.monotonic()
        while not program.is_ready():
            if self._stop.wait(POLL_SECONDS):
                raise StoppedError
            if time.monotonic() < began + ASK_SECONDS:  # the supervisor may be busy with the start of another program
                continue
            state = supervisor.states().get(program.name)
            log = self._data.logs / f"{program.name}.log"
            if state is not None and (state.is_given_up or state.state == "BACKOFF"):
                raise StartError(
                    f"{program.name} does not start ({state.description}); the end of {log}:\n{_tail(log)}"
                )
            if time.monotonic() > began + program.ready_seconds:
                raise StartError(f"{program.name} is not ready in time; the end of {log}:\n{_tail(log)}")

    def _withdraw_ready(self) -> None:
        try:
            self._data.ready_file.unlink(missing_ok=True)
        except OSError as fault:
            self._report.warn(f"ready.json stays although nothing runs: {describe(fault)}")

    def _end(self, supervisor: Supervisor) -> None:
        self._withdraw_ready()
        with self._report.step("Stopping", "stopped"):
            supervisor.stop()

    @contextlib.contextmanager
    def _prepared(self) -> Iterator[Prepared]:
        is_to_be_settled(self._data, self._environment)  # refuses before anything is made in a restore's place
        check_archive(self._options, self._data, self._environment)
        self._data.prepare()
        self._data.certificates.ensure()
        for path in self._data.sealing_keys:
            ensure_vault_keys(path, time.strftime("%Y-%m-%d"))
        ports = choose_ports(port_names(self._options), self._options.http_port, self._data.ports)
        self._make_cluster()
        sockets = socket_folder(self._data)
        try:
            yield self._plan(ports, sockets)
        finally:
            remove_socket_folder(sockets, self._data)

    def _plan(self, ports: Ports, sockets: Path) -> Prepared:
        postgres, redis = self._postgres(sockets), self._redis(ports)
        passwords = load_passwords(self._data.database_passwords)
        admin_url = admin_url_of(postgres) if postgres is not None else self._environment["DATABASE_URL"]
        servers = Servers(
            database_urls=database_urls(admin_url, passwords),
            redis_url=redis.url() if redis is not None else self._environment["REDIS_URL"],
            public_url=self._public_url(ports),
        )
        planner = Planner(self._options, self._data, ports, servers, self._environment, postgres, redis, sockets)
        return Prepared(planner.plan(), planner, admin_url, passwords, sockets)

    def _public_url(self, ports: Ports) -> str:
        given = self._environment.get("PUBLIC_URL") or self._environment.get("MAILMESH_PUBLIC_URL")
        if given:
            return given.rstrip("/")
        # The simulated providers reach this machine; real ones do not, and mailboxes are polled then.
        return edge_url(ports) if self._options.wants_simulator(self._environment) else ""

    def _postgres(self, sockets: Path) -> PostgresServer | None:
        if self._environment.get("DATABASE_URL"):
            return None
        server = PostgresServer(self._data.postgres, sockets, self._data.postgres_password)
        server.initialize()
        return server

    def _make_cluster(self) -> None:
        """Makes PostgreSQL's cluster at the first start, before there is a temporary folder that could be left."""
        if self._environment.get("DATABASE_URL") or (self._data.postgres / "PG_VERSION").exists():
            return
        with self._report.step("Making the database cluster", "database cluster is made"):
            PostgresServer(self._data.postgres, self._data.run, self._data.postgres_password).initialize()

    def _redis(self, ports: Ports) -> RedisServer | None:
        return None if self._environment.get("REDIS_URL") else RedisServer.prepare(self._data.redis, ports["redis"])

    def _supervisor(self, prepared: Prepared, lock: int) -> Supervisor:
        configuration, door = self._data.root / "supervisor.conf", prepared.sockets / "supervisor.sock"
        stages = prepared.plan.stages
        write_configuration(configuration, door, stages, self._data.logs, self._data.environments)
        stop_seconds = sum(max((program.stop_seconds for program in stage), default=0.0) for stage in stages)
        return Supervisor(
            configuration,
            door,
            self._data.logs / "supervisor-start.log",
            stop_seconds + STOP_SLACK_SECONDS,
            inherited=(lock,),
            temporary=prepared.sockets if is_temporary(prepared.sockets, self._data) else None,
        )

    def _ready(self, planner: Planner, supervisor: Supervisor) -> Ready:
        ports = planner.ports
        simulated = self._options.wants_simulator(self._environment)
        return Ready(
            http=edge_url(ports),
            grpc=ports.address("edge"),
            public_url=planner.servers.public_url,
            ca_file=self._data.certificates.authority,
            admin_key_file=self._data.admin_key,
            simulator=_simulator_addresses(ports) if simulated else None,
            metrics=metrics_urls(ports),
            watch_ui=page_url(ports[PROMETHEUS]) if self._options.has_watch_ui else "",
            processes=process_ids(supervisor),
            log_folder=self._data.logs,
            supervisor=supervisor.door,
        )


def process_ids(supervisor: Supervisor) -> dict[str, int]:
    """Returns the id of each process of the stack that runs."""
    running = {name: state.pid for name, state in supervisor.states().items() if state.pid}
    return {"up": os.getpid(), "supervisor": supervisor.pid, **running}


def _simulator_addresses(ports: Ports) -> SimulatorAddresses:
    return SimulatorAddresses(
        microsoft=f"https://{ports.address('simulator-microsoft')}",
        google=f"https://{ports.address('simulator-google')}",
        control=f"http://{ports.address('simulator-control')}",
    )


def _reason(fault: Exception) -> str:
    """Returns a sentence about a failed start; an exception without one of its own is named by its type."""
    if isinstance(fault, OSError):
        return describe(fault)
    return str(fault) if isinstance(fault, StackError) else f"{type(fault).__name__}: {fault}"


def _tail(log: Path, lines: int = 15) -> str:
    if not log.exists():
        return "(empty)"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
