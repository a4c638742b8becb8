"""One trial: a mesh on hosts, a load, a consumer and a receiver; hosts and servers are taken away one after another."""

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import httpx

from mailmesh.delivery.v1 import endpoint_service_pb2, endpoint_service_pb2_grpc
from mailmesh.ingest.v1 import subscription_service_pb2 as subscriptions
from mailmesh.ingest.v1 import subscription_service_pb2_grpc as subscription_services
from mailmesh.processor.v1 import event_pb2, event_service_pb2, event_service_pb2_grpc
from stack.browser import Browser, LastPage
from stack.cli.connection import CHANNEL_OPTIONS, with_key
from stack.programs.roles import load_passwords
from stack.simulated import SimulatorControl
from tests.hosts import clocks, earlier
from tests.hosts.databases import ADDRESS, Databases
from tests.hosts.installation import MIGRATED, OUTSIDE, Installation, package
from tests.hosts.wire import Host, Wire, named_hosts, namespace
from tests.mesh.accounts import PROVIDERS, all_events, connect, new_address
from tests.mesh.settling import settle
from tests.mesh.torture_delivery import DifficultReceiver, places_of, webhook_faults
from tests.mesh.verdict import Account, all_faults, consumer_faults
from tests.programs.mesh import eventually

ACCOUNTS_PER_PROVIDER = 2
MAILS_PER_SECOND = 3.0
HEAL_SECONDS = 180.0
DELAY_SECONDS, LOSS = 0.001, 0.002


class Mesh:
    """The mesh as its callers see it: through the balancer before the edges."""

    def __init__(self, authority: Path, key: str) -> None:
        self._authority = authority
        self.key = key
        self.simulator = SimulatorControl(f"http://127.0.0.1:{OUTSIDE['control']}")
        self.http = f"http://127.0.0.1:{OUTSIDE['edge']}"
        self._channel = grpc.insecure_channel(self.http.removeprefix("http://"), CHANNEL_OPTIONS)

    @property
    def channel(self) -> grpc.Channel:
        """A channel to the edges that shows the admin key."""
        return with_key(self._channel, self.key)

    def consent(self, url: str, account: str, **choice: Any) -> LastPage:
        """Go through the consent pages like a person."""
        with Browser(self._authority) as browser:
            return browser.consent(url, account, **choice)


class Trial:
    """One run.

    Args:
        folder: A private folder with a short path.
        seed: Of everything random.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._chance, self._seed = folder, random.Random(seed), seed
        self.figures: dict[str, Any] = {}
        self._seen: list[event_pb2.Event] = []
        self._cut_off: Counter[str] = Counter()
        self._loading, self._over = threading.Event(), threading.Event()

    def run(self) -> list[str]:
        """Run the trial, and return what was found wrong: sentences, none when all is well."""
        print(f"  seed {self._seed}", flush=True)
        with contextlib.ExitStack() as stack:
            self._start(stack)
            self._accounts = [self._account(provider) for provider in PROVIDERS for _ in range(ACCOUNTS_PER_PROVIDER)]
            self._create_endpoint()
            stack.enter_context(self._beside(self._consume, self._over))
            with self._beside(self._load, self._loading):
                self._take_away()
            settle(self._mesh, self._accounts)
            with contextlib.suppress(AssertionError):
                eventually(lambda: not self._wrong(), HEAL_SECONDS)
            found = self._wrong() + consumer_faults(self._mesh, self._accounts, self._seen)
            self._note(found)
            return found

    def _start(self, stack: contextlib.ExitStack) -> None:
        began = time.monotonic()
        self._wire = Wire(DELAY_SECONDS, LOSS, random.Random(f"wire:{self._seed}"))
        world = self._wire.add("world", 1, Path("/proc/self/ns/net"))
        numbers = {"one": 11, "two": 12, "three": 13, "database-a": 21, "database-b": 22}
        self._hosts = {
            name: self._wire.add(name, number, stack.enter_context(namespace())) for name, number in numbers.items()
        }
        stack.enter_context(self._wire.carrying())
        hosts = self._hosts
        self._databases = Databases(self._folder, self._wire, hosts["database-a"], hosts["database-b"])
        stack.callback(self._databases.stop)
        urls = self._databases.prepare(load_passwords(self._folder / "passwords.json"))
        differing = clocks.offsets(random.Random(f"clocks:{self._seed}"), ["two", "three"])
        pair = (hosts["one"], hosts["two"])
        before = self._unpack_earlier_releases()
        self._installation = Installation(self._folder, world, pair, hosts["three"], urls, differing, before)
        self.figures["clocks"] = differing
        stack.enter_context(named_hosts({**self._installation.names, "database": [ADDRESS]}, self._folder))
        stack.callback(self._installation.stop)
        self._installation.start()
        self._databases.wait_for_the_standby()
        key = self._installation.create_admin_key()
        self._mesh = Mesh(self._installation.certificates.authority, key)
        self._receiver = DifficultReceiver(port=OUTSIDE["receiver"])
        self._receiver.begin()
        stack.callback(self._receiver.end)
        print(f"  clocks: {differing}", flush=True)
        print(f"  ready after {time.monotonic() - began:.0f} s", flush=True)

    def _unpack_earlier_releases(self) -> dict[str, Path]:
        """Unpack an earlier release of each service that has one; return the trees by service."""
        found, told = {}, {}
        for service in MIGRATED:
            folder = self._folder / f"earlier-{service}"
            try:
                told[service] = earlier.unpack_earlier_release(package(service), folder)
            except earlier.NoEarlierReleaseError as reason:
                print(f"  {service} is not upgraded: {reason}", flush=True)
                continue
            found[service] = folder
            print(f"  {service} begins as {told[service]}", flush=True)
        self.figures["upgraded from"] = told
        return found

    def _account(self, provider: str) -> Account:
        address = new_address(self._mesh, provider)
        tenant = eventually(lambda: connect(self._mesh, provider, address, ("mail.read",)), what=address)
        stub = subscription_services.SubscriptionServiceStub(self._mesh.channel)
        stub.CreateSubscription(subscriptions.CreateSubscriptionRequest(tenant_id=tenant, all_mail=True), timeout=60)
        return Account(provider, address, tenant)

    def _create_endpoint(self) -> None:
        stub = endpoint_service_pb2_grpc.EndpointServiceStub(self._mesh.channel)
        chosen = endpoint_service_pb2.EndpointFilter(event_types=["mail.*"])
        request = endpoint_service_pb2.CreateEndpointRequest(url=self._receiver.url, filter=chosen, cursor="earliest")
        self._receiver.key = stub.CreateEndpoint(request, timeout=30).signing_key

    def _take_away(self) -> None:
        """Take away one thing after another, in an order by chance; the failover is the last, for none is left then."""
        hosts = [self._hosts[name] for name in ("one", "two", "three")]
        trials: list[tuple[str, Callable[[], None]]] = [
            ("a host is cut off for 20 s", lambda: self._cut_off_host(self._chance.choice(hosts), 20.0)),
            ("a host is killed, and is back after 10 s", lambda: self._kill_host(self._chance.choice(hosts))),
            ("PostgreSQL refuses for 10 s", lambda: self._refuse(10.0)),
            ("Redis is killed and comes back", lambda: self._installation.restart(["redis@three"])),
            ("certificates are renewed", self._renew),
            ("each process is restarted in turn", self._restart_each),
            ("the standby is silent for 15 s", lambda: self._cut_off_standby(15.0)),
        ]
        trials += [
            (f"{service} is of the later release everywhere", partial(self._upgrade, service))
            for service in self._installation.earlier
        ]
        self._chance.shuffle(trials)
        for what, act in (("nothing", lambda: None), *trials, ("the primary's host dies; failover", self._fail_over)):
            act()
            self._time(what)

    def _cut_off_host(self, host: Host, seconds: float) -> None:
        self.figures["host that was cut off"] = host.name
        host.is_cut = True
        time.sleep(seconds / 2)
        # The mesh works without it.
        self._time("while a host is cut off")
        time.sleep(seconds / 2)
        host.is_cut = False

    def _cut_off_standby(self, seconds: float) -> None:
        """No commit is confirmed meanwhile; a caller whose deadline passes does not know whether it was made."""
        self._databases.second.is_cut = True
        time.sleep(seconds)
        self._databases.second.is_cut = False

    def _kill_host(self, host: Host) -> None:
        self.figures["host that was killed"] = host.name
        host.is_cut = True
        for running in self._installation.on(host):
            running.kill()
        time.sleep(5.0)
        self._time("while a host is dead")
        host.is_cut = False
        for running in self._installation.on(host):
            running.restart()

    def _refuse(self, seconds: float) -> None:
        self._databases.refuse(refuses=True)
        time.sleep(seconds)
        self._databases.refuse(refuses=False)

    def _renew(self) -> None:
        self._installation.renew_certificates()
        time.sleep(5.0)

    def _upgrade(self, service: str) -> None:
        before = self._databases.revision(package(service))
        for step in self._installation.upgrade(service):
            self._time(f"upgrade of {service}: {step}")
        after = self._databases.revision(package(service))
        assert before != after, f"the schema of {service} was at {after} already"
        self.figures[f"schema of {service}"] = f"{before} to {after}"

    def _restart_each(self) -> None:
        names = [name for name in self._installation.running if name.split("@")[0] not in ("way", "redis", "simulator")]
        self._installation.restart(names)

    def _fail_over(self) -> None:
        self._databases.lose_the_primary()
        time.sleep(3.0)
        self._databases.fail_over()

    def _time(self, what: str) -> None:
        """Time the way of a mail to each account, delivered now, until the consumer saw them all."""
        began = time.monotonic()
        new = {mail for account in self._accounts for mail in self._deliver(account, 1)}
        eventually(
            lambda: new <= {event.mail.message_id for event in self._seen}, HEAL_SECONDS, what="the mail is told"
        )
        seconds = time.monotonic() - began
        self.figures[what] = round(seconds, 1)
        print(f"    {time.strftime('%H:%M:%S')} {what}: mail told {seconds:.1f} s later", flush=True)

    def _deliver(self, account: Account, count: int) -> list[str]:
        made = [mail["id"] for mail in self._mesh.simulator.generate(account.address, count, first=len(account.mails))]
        account.mails += made
        return made

    def _load(self) -> None:
        chance = random.Random(f"load:{self._seed}")
        while not self._loading.wait(chance.expovariate(MAILS_PER_SECOND)):
            account = chance.choice(self._accounts)
            if not account.mails or chance.random() < 0.7:
                self._deliver(account, 1)
                continue
            path = f"accounts/{account.address}/messages/{chance.choice(account.mails)}"
            self._mesh.simulator.call("PATCH", path, isRead=chance.random() < 0.7)

    def _consume(self) -> None:
        """Read the stream as a client does: cut off, it goes on from its last position."""
        cursor = "earliest"
        while not self._over.is_set():
            request = event_service_pb2.StreamEventsRequest(cursor=cursor, heartbeat_seconds=1)
            stub = event_service_pb2_grpc.EventServiceStub(self._mesh.channel)
            try:
                for answer in stub.StreamEvents(request, timeout=30.0):
                    if answer.HasField("event"):
                        self._seen.append(answer.event)
                    cursor = (answer.event if answer.HasField("event") else answer.heartbeat).position
                    if self._over.is_set():
                        break
            except grpc.RpcError as fault:
                self._cut_off[fault.code().name] += 1
                self._over.wait(0.2)

    def _wrong(self) -> list[str]:
        stream = [
            (event.mail.event_id, f"{account.tenant_id} {event.mail.message_id}")
            for account in self._accounts
            for event in all_events(self._mesh, account.tenant_id)
        ]
        webhooks = webhook_faults(self._receiver.taken, places_of(stream))
        return [*all_faults(self._mesh, self._accounts), *self._receiver.wrong, *webhooks]

    @contextlib.contextmanager
    def _beside(self, work: Callable[[], None], stop: threading.Event) -> Iterator[None]:
        failures: list[BaseException] = []

        def run() -> None:
            try:
                work()
            except (AssertionError, OSError, httpx.HTTPError, grpc.RpcError) as fault:
                failures.append(fault)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(60.0)
        if failures:
            raise failures[0]

    def _note(self, found: list[str]) -> None:
        mails = sum(len(account.mails) for account in self._accounts)
        twice = len(self._receiver.taken) - len({*self._receiver.taken})
        self.figures |= {"mails": mails, "events seen": len(self._seen), "webhooks repeated": twice}
        print(
            f"  seed {self._seed}: {mails} mails, {len(self._seen)} events seen, {twice} webhooks repeated,"
            f" the consumer was cut off by {dict(self._cut_off)}, the wire: {dict(self._wire.carried)},"
            f" {len(found)} faults",
            flush=True,
        )
