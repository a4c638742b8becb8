"""`python -m tests.mesh.torture --seed N --seconds S`: tries to make the whole mesh lose a mail or tell one twice.

Mail arrives and changes at a steady rate, callers send, answer, forward and mark mail, and events and series of
calendars change at both providers and by callers, while processes are killed, frozen and restarted at random, Redis is
wiped, PostgreSQL is killed, and the simulated providers throttle, fail, hang, drop, double, delay and reorder, do as
they were asked and lose the answer, change the ids of sent mail and delay its copy. At the end every mail in the
simulated mailboxes must be exactly one created event, the last event of each must say what the mailbox says, the list
and the stream of each calendar must be what the load did, every idempotency key must be one mail or meeting with its
event or one explained doubt, nothing may be stuck, and a consumer that was cut off again and again must have seen
every event in order, as must receivers of webhooks that stall, reset, answer late and are away.

The seed decides what happens; when it happens relative to the processes is decided by the machine.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import redis

from mailmesh.ingest.v1 import subscription_service_pb2 as subscriptions
from mailmesh.ingest.v1 import subscription_service_pb2_grpc as subscription_services
from tests.mesh.accounts import PROVIDERS, connect, new_address
from tests.mesh.acts_verdict import act_faults, figures, unseen_sends
from tests.mesh.calendars_verdict import calendar_faults, run_faults, unseen_calendar_events
from tests.mesh.settling import SETTLE_SECONDS, settle
from tests.mesh.torture_acts import ENVIRONMENT as ACTS_ENVIRONMENT
from tests.mesh.torture_acts import HABITS, Acts, recorded
from tests.mesh.torture_calendars import ABILITIES as CALENDAR_ABILITIES
from tests.mesh.torture_calendars import ENVIRONMENT as CALENDARS_ENVIRONMENT
from tests.mesh.torture_calendars import CalendarLoad
from tests.mesh.torture_consumer import Consumer
from tests.mesh.torture_delivery import ENVIRONMENT as DELIVERY_ENVIRONMENT
from tests.mesh.torture_delivery import Deliveries
from tests.mesh.verdict import Account, all_faults, consumer_faults
from tests.programs.mesh import Mesh, eventually, running_mesh

ACCOUNTS_PER_PROVIDER = 2
OPERATIONS_PER_SECOND = 5.0
VICTIMS = (
    *("ingest-1", "worker-1", "worker-2", "processor", "token-vault", "delivery"),
    *("envoy", "redis", "postgres"),
)
AGREE_SECONDS = 60.0
# A deletion is believed after minutes, since the provider's announcements run ahead of its store; here after seconds.
ENVIRONMENT = {
    "MAILMESH_PROCESSOR_MISSING_SECONDS": "5",
    "MAILMESH_INGEST_RECONCILE_SPREAD_SECONDS": "5",
    **ACTS_ENVIRONMENT,
    **DELIVERY_ENVIRONMENT,
    **CALENDARS_ENVIRONMENT,
}
ABILITIES = ("mail.read", "mail.mark", "mail.send", *CALENDAR_ABILITIES)
CALL_FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "status", "status": 429, "retry_after": 1, "probability": 0.5},
    {"kind": "status", "status": 500, "probability": 0.5},
    {"kind": "status", "status": 503, "retry_after": 1, "probability": 0.5},
    {"kind": "latency", "seconds": 0.7, "probability": 0.5},
    {"kind": "truncate", "probability": 0.3},
    {"kind": "hang", "seconds": 3.0, "probability": 0.1},
    {"kind": "close", "probability": 0.3},
    {"kind": "garbage", "probability": 0.2},
    {"kind": "status", "status": 401, "probability": 0.1},
)
PUSH_FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "drop", "probability": 0.3},
    {"kind": "double", "probability": 0.5},
    {"kind": "late", "seconds": 2.0, "probability": 0.5},
    {"kind": "reorder", "seconds": 1.5, "probability": 0.7},
)


@dataclass
class Torture:
    """One run.

    Args:
        mesh: The mesh that is tortured.
        seed: Of everything random.
        accounts: The mailboxes.
        acts: The requests of callers.
        deliveries: The endpoints and their receivers.
        calendars: The changes of calendars.
        consumer: The reader of the stream.
    """

    mesh: Mesh
    seed: int
    accounts: list[Account]
    acts: Acts
    deliveries: Deliveries
    calendars: CalendarLoad
    consumer: Consumer
    done: Counter[str] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)
    frozen: set[int] = field(default_factory=set)

    def run(self, seconds: float) -> None:
        """Loads and torments for a time, then lets the mesh heal."""
        work: dict[str, Callable[[], None]] = {
            "the load": self._load,
            "the load of acts": partial(self.acts.load, self.stop),
            "the load of calendars": partial(self.calendars.load, self.stop),
            "the torment of acts": partial(self.acts.torment, self.stop),
            "the torment of receivers": partial(self.deliveries.torment, self.stop),
            "the torment": self._torment,
        }
        targets = [recorded(one, name, self.acts.wrong) for name, one in work.items()]
        workers = [threading.Thread(target=one, daemon=True) for one in targets]
        for worker in workers:
            worker.start()
        self.stop.wait(seconds)
        self.stop.set()
        for worker in workers:
            worker.join()
        self._relent()

    def _load(self) -> None:
        chance = random.Random(f"load:{self.seed}")
        number = 0
        while not self.stop.wait(chance.expovariate(OPERATIONS_PER_SECOND)):
            number += 1
            self._operate(chance, chance.choice(self.accounts), number)

    def _operate(self, chance: random.Random, account: Account, number: int) -> None:
        base = f"accounts/{account.address}"
        verb = chance.choices(("deliver", "read", "move", "trash", "restore", "delete"), (60, 20, 6, 6, 4, 4))[0]
        if verb == "deliver" or not account.mails:
            account.mails += [mail["id"] for mail in self.acts.simulator.generate(account.address, 1, first=number)]
            self.done["deliver"] += 1
            return
        one = f"{base}/messages/{chance.choice(account.mails)}"
        calls: dict[str, tuple[str, str, dict[str, Any]]] = {
            "read": ("PATCH", one, {"isRead": chance.random() < 0.7}),
            "move": ("POST", f"{one}/move", {"folder": "archive"}),
            "trash": ("POST", f"{one}/trash", {}),
            "restore": ("POST", f"{one}/restore", {}),
            "delete": ("DELETE", one, {}),
        }
        method, path, body = calls[verb]
        with suppress(httpx.HTTPStatusError):  # the mail is deleted already, or is where it should go
            self.acts.simulator.call(method, path, **body)
            self.done[verb] += 1

    def _torment(self) -> None:
        chance = random.Random(f"torment:{self.seed}")
        while not self.stop.wait(chance.uniform(1.0, 3.0)):
            verbs = (self._kill, self._freeze, self._wipe, self._fault, self._turn, self._forgive)
            verb = chance.choices(verbs, (4, 3, 1, 4, 2, 3))[0]
            # A process that is just being restarted is not there to be killed; that is part of the run.
            with suppress(ProcessLookupError, KeyError, FileNotFoundError, subprocess.TimeoutExpired):
                verb(chance)

    def _kill(self, chance: random.Random) -> None:
        victim = chance.choice([name for name in VICTIMS if name in self.mesh.ready.processes])
        self.mesh.kill(victim)
        self._note(f"kill {victim}")

    def _freeze(self, chance: random.Random) -> None:
        victim = chance.choice(
            [name for name in ("worker-1", "worker-2", "ingest-1", "delivery") if name in self.mesh.ready.processes]
        )
        pid = self.mesh.ready.processes[victim]
        os.kill(pid, signal.SIGSTOP)
        self.frozen.add(pid)
        self._note(f"freeze {victim}")
        self.stop.wait(chance.uniform(1.0, 8.0))
        self._thaw(pid)

    def _wipe(self, _chance: random.Random) -> None:
        with redis.Redis.from_url(self._redis_url()) as client:
            client.flushall()
        self._note("wipe redis")

    def _fault(self, chance: random.Random) -> None:
        if chance.random() < 0.5:
            fault = {**chance.choice(PUSH_FAULTS), "endpoint": "notify.*"}
        else:
            fault = {**chance.choice(CALL_FAULTS), "endpoint": chance.choice(("graph.*", "gmail.*", "calendar.*"))}
        self.acts.simulator.fault(**fault)
        self._note(f"fault {fault['kind']}")

    def _turn(self, chance: random.Random) -> None:
        """Let a provider take to another way that nothing forbids, or its history be late."""
        name, ways = chance.choice([*HABITS.items(), ("history", (0, 1, 3))])
        way = chance.choice(ways)
        if name == "history":
            for account in self.accounts:
                self._lag(account, way)
        else:
            self.acts.simulator.call("PATCH", "settings", **{name: way})
        self._note(f"turn {name} {way}")

    def _lag(self, account: Account, seconds: float) -> None:
        self.acts.simulator.call("POST", f"accounts/{account.address}/lag", historySeconds=seconds, listSeconds=0)

    def _forgive(self, _chance: random.Random) -> None:
        self.acts.simulator.clear_faults()
        self._note("forgive")

    def _relent(self) -> None:
        for pid in list(self.frozen):
            self._thaw(pid)
        self.acts.simulator.clear_faults()
        self.acts.simulator.call("PATCH", "settings", **{name: ways[0] for name, ways in HABITS.items()})
        for account in self.accounts:
            self._lag(account, 0)
        eventually((self.mesh.data / "ready.json").exists, SETTLE_SECONDS, what="the mesh is back")

    def _thaw(self, pid: int) -> None:
        self.frozen.discard(pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def _note(self, what: str) -> None:
        self.done[what.split(maxsplit=1)[0]] += 1
        print(f"    {time.strftime('%H:%M:%S')} {what}", flush=True)

    def _redis_url(self) -> str:
        folder = self.mesh.data / "redis"
        settings = dict(
            line.split(maxsplit=1) for line in (folder / "redis.conf").read_text().splitlines() if " " in line
        )
        return f"redis://:{settings['requirepass']}@127.0.0.1:{settings['port']}/0"


@contextmanager
def tortured(folder: Path, seed: int) -> Iterator[Torture]:
    """Starts a mesh with two workers and connected, subscribed mailboxes."""
    with running_mesh(folder / "t", "--workers", "2", environment=ENVIRONMENT) as mesh:
        accounts = []
        for provider in PROVIDERS:
            for _ in range(ACCOUNTS_PER_PROVIDER):
                address = new_address(mesh, provider)
                tenant_id = connect(mesh, provider, address, ABILITIES)
                stub = subscription_services.SubscriptionServiceStub(mesh.channel)
                stub.CreateSubscription(subscriptions.CreateSubscriptionRequest(tenant_id=tenant_id, all_mail=True))
                accounts.append(Account(provider, address, tenant_id))
        acts, deliveries = Acts(mesh, seed, accounts, new_address(mesh, "ms365")), Deliveries(mesh, seed)
        calendars = CalendarLoad(mesh, seed, accounts)
        calendars.follow()
        with deliveries.receiving():
            yield Torture(mesh, seed, accounts, acts, deliveries, calendars, Consumer(mesh, seed))


def run(folder: Path, seed: int, seconds: float) -> list[str]:
    """Tortures a mesh and returns what was found wrong: sentences, none when all is well."""
    print(f"  seed {seed}, {seconds:.0f} s", flush=True)
    with tortured(folder, seed) as torture, torture.consumer.consuming():
        torture.run(seconds)
        began = time.monotonic()
        torture.acts.finish()
        torture.calendars.finish()
        settle(torture.mesh, torture.accounts)
        torture.deliveries.finish()
        print(f"  settled in {time.monotonic() - began:.0f} s", flush=True)
        with suppress(AssertionError):
            eventually(lambda: not _disagreements(torture), AGREE_SECONDS)
        found = _disagreements(torture) + run_faults(torture.calendars, seconds)
        found += consumer_faults(torture.mesh, torture.accounts, torture.consumer.seen)
        found += act_faults(torture.acts, torture.accounts, seconds)
        found += unseen_sends(torture.acts, torture.accounts, torture.consumer.seen)
        found += torture.deliveries.faults()
        found += unseen_calendar_events(torture.calendars, torture.consumer.seen)
        if found:
            print(f"  the consumer was cut off by {dict(torture.consumer.cut_off)}", flush=True)
        print(f"  seed {seed}: {figures(torture.acts, torture.accounts)}", flush=True)
        print(f"  seed {seed}: webhooks {torture.deliveries.figures()}", flush=True)
        seen = f"{len(torture.consumer.seen)} events seen"
        print(f"  seed {seed}: {dict(torture.done)}, {seen}, {len(found)} faults", flush=True)
        print(f"  seed {seed}: calendars {dict(torture.calendars.done)}", flush=True)
        return found


def _disagreements(torture: Torture) -> list[str]:
    """Return where the stream and the lists do not yet say what the providers say."""
    return all_faults(torture.mesh, torture.accounts) + calendar_faults(torture.calendars)


def main() -> int:
    """Runs the seeds and returns the exit code: 0 when nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.mesh.torture", description=__doc__)
    parser.add_argument("--seed", type=int, action="append", help="which; may be repeated; default: one at random")
    parser.add_argument("--runs", type=int, default=1, help="how many seeds at random")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each run torments")
    found = parser.parse_args()
    seeds = found.seed or [random.SystemRandom().randrange(1_000_000) for _ in range(found.runs)]
    wrong: dict[int, list[str]] = {}
    for seed in seeds:
        folder = Path(tempfile.mkdtemp(prefix="mm-"))
        wrong[seed] = run(folder, seed, found.seconds)
        if wrong[seed]:
            print(*(f"  WRONG: {sentence}" for sentence in wrong[seed]), f"  data and logs: {folder}", sep="\n")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    failed = [seed for seed, sentences in wrong.items() if sentences]
    print(f"{len(seeds) - len(failed)} of {len(seeds)} seeds passed" + (f"; failed: {failed}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
