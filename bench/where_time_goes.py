"""The time of a webhook and of an event, step by step, and the cost of a million notifications."""

import asyncio
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import measure, mesh_floors
from bench.end_to_end_latency import Reader
from bench.fill import ALL
from bench.measure import Figure, Options
from bench.mesh_counts import KINDS, OURS, SCHEMAS, Counts, Span, counts_of
from tests.mesh.accounts import connect, new_address, subscribe
from tests.programs.mesh import Mesh, running_mesh

PROVIDERS = ("ms365", "googlews")

_WARM_UP = 20
_MILLION = 1_000_000
_METHODS = {"ms365": "ReceiveGraphNotifications", "googlews": "ReceiveGmailPush"}
_GETS = {"ms365": "graph.messages.get", "googlews": "gmail.messages.get"}
# Envoy counts whole milliseconds, rounded down: the mean loss is half of one.
_CUT_OFF_MS = 0.5
_FLOORS = {
    "fsync": "8 KiB at the end of a file on the mesh's disk",
    "round trip": "SELECT 1 to PostgreSQL",
    "wake-up": "from Ingest's call to the worker's, through Redis",
}
_ANSWER = "one message, as the simulated provider sees it"
_CLUSTERS = ("token_vault", "ingest", "processor")


@dataclass(frozen=True)
class Scale:
    """The size of the run.

    Args:
        mailboxes: The number of mailboxes of each provider.
        per_second: Mails a second over all of them.
        seconds: The duration.
        rest_seconds: The duration of the measurement at rest.
        settle_seconds: The time that Envoy needs to publish its counters.
        repeats: The number of repetitions of the separate measurements.
    """

    mailboxes: int = 10
    per_second: int = 50
    seconds: int = 30
    rest_seconds: float = 15.0
    settle_seconds: float = 6.0
    repeats: int = 200


QUICK = Scale(mailboxes=1, per_second=5, seconds=1, rest_seconds=0.5, settle_seconds=0.5, repeats=5)


@dataclass(frozen=True)
class Run:
    """The measurements of one provider.

    Args:
        provider: The provider.
        rest: The mesh at rest.
        load: The mesh under load, until it has settled.
        event_ms: The age of each event when a consumer received it.
        post_ms: The time of each POST, measured by its sender.
        answer_ms: The time of each answer to a GET of one message, measured by the provider.
        floors: The separate measurements, by name.
    """

    provider: str
    rest: Span
    load: Span
    event_ms: Sequence[float]
    post_ms: Sequence[float]
    answer_ms: Sequence[float]
    floors: Mapping[str, float]

    def step_ms(self, step: str) -> float:
        """Return the mean time of a step of the worker."""
        return self.load.mean("mailmesh_processor_step_seconds", step=step) * 1000


async def program(options: Options) -> Sequence[Figure]:
    """Run the whole mesh and measure each provider in turn."""
    return await asyncio.to_thread(_measured, QUICK if options.is_quick else Scale())


def _measured(scale: Scale) -> list[Figure]:
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="mm-bench-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        environment = {"MAILMESH_PROCESSOR_GMAIL_UNITS_PER_MINUTE": "1000000"}
        with running_mesh(Path(folder) / "mesh", environment=environment) as mesh:
            runs = [_run(mesh, provider, scale) for provider in PROVIDERS]
    for run in runs:
        found += [*_webhook(run), *_event(run), *_cost(run)]
    return [*found, *_floors(runs), *_rest_of(runs[0])]


def _run(mesh: Mesh, provider: str, scale: Scale) -> Run:
    addresses = [new_address(mesh, provider) for _ in range(scale.mailboxes)]
    for address in addresses:
        subscribe(mesh, connect(mesh, provider, address))
    wanted = scale.seconds * scale.per_second
    with Reader(mesh, provider) as reader:
        for number in range(_WARM_UP):
            mesh.simulator.generate(addresses[number % len(addresses)], 1, seed=7)
        reader.wait_for(_WARM_UP)
        rest = _rest(mesh, scale)
        reader.milliseconds.clear()
        posts, gets = len(_posts(mesh, provider)), len(_gets(mesh, provider))
        mesh.simulator.call(
            "POST", "load", accounts=addresses, perSecond=scale.per_second, seconds=scale.seconds, seed=8
        )
        reader.wait_for(wanted)
        mesh.simulator.wait_until_idle()
        time.sleep(scale.settle_seconds)
        load = Span(rest.after, counts_of(mesh))
        event_ms = list(reader.milliseconds)
    floors = asyncio.run(_alone(mesh, provider, addresses[0], scale))
    return Run(
        provider, rest, load, event_ms, _posts(mesh, provider)[posts:], _gets(mesh, provider)[gets:], floors
    )  # fmt: skip


def _rest(mesh: Mesh, scale: Scale) -> Span:
    time.sleep(scale.settle_seconds)
    before: Counts = counts_of(mesh)
    time.sleep(scale.rest_seconds)
    return Span(before, counts_of(mesh))


def _posts(mesh: Mesh, provider: str) -> list[float]:
    log: list[dict[str, Any]] = mesh.simulator.call("GET", "pushes?limit=100000")["log"]
    return [post["milliseconds"] for post in log if f"/api/{provider}/webhook" in post["url"]]


def _gets(mesh: Mesh, provider: str) -> list[float]:
    calls = mesh.simulator.call("GET", f"calls?endpoint={_GETS[provider]}&limit=100000")
    return [call["milliseconds"] for call in calls]


async def _alone(mesh: Mesh, provider: str, address: str, scale: Scale) -> Mapping[str, float]:
    return {
        "decode": await mesh_floors.decode_ms(provider, scale.repeats),
        "lookup": await mesh_floors.lookup_ms(mesh, provider, address, scale.repeats),
        "wake-up": await mesh_floors.wake_up_ms(mesh, scale.repeats),
        "fsync": await mesh_floors.fsync_ms(mesh, scale.repeats),
        "round trip": await mesh_floors.round_trip_ms(mesh, scale.repeats),
    }


def _handling_ms(run: Run) -> float:
    method = f"/mailmesh.ingest.v1.IngestService/{_METHODS[run.provider]}"
    return run.load.mean("mailmesh_grpc_server_handling_seconds", method=method) * 1000


def _commit_ms(run: Run) -> float:
    return run.load.mean("mailmesh_ingest_commit_seconds") * 1000


def _commit_wait_ms(run: Run) -> float:
    return _handling_ms(run) - _commit_ms(run) - run.floors["decode"] - run.floors["lookup"]


def _webhook(run: Run) -> list[Figure]:
    handling, posted = _handling_ms(run), _mean(run.post_ms)
    edge = run.load.mean("envoy_http_downstream_rq_time", envoy_http_conn_manager_prefix="edge") + _CUT_OFF_MS
    steps = [
        (
            "caller and loopback",
            posted - edge,
            "the sender's own HTTP client; in production a network round trip instead",
        ),
        ("Envoy and gRPC", edge - handling, "copying; for Gmail also the check of a signature"),
        ("decode", run.floors["decode"], "the processor"),
        ("lookup", run.floors["lookup"], "the processor; a round trip to PostgreSQL when the cache has no entry"),
        ("wait for the commit", _commit_wait_ms(run), "the previous commit, and 3 ms of batching after a shared one"),
        ("commit", _commit_ms(run), "an fsync and a round trip to PostgreSQL"),
    ]
    return _table("webhook", run.provider, steps, posted)


def _event(run: Run) -> list[Figure]:
    lag = run.load.mean("mailmesh_processor_lag_seconds", provider=run.provider) * 1000
    turn = run.step_ms("queued") - _commit_wait_ms(run) - _commit_ms(run) - run.step_ms("claim")
    fetches = run.load.count("mailmesh_processor_step_seconds_count", step="fetch") or 1.0
    normalize = run.load.count("mailmesh_processor_step_seconds_sum", step="normalize") * 1000 / fetches
    worked = [
        ("open", run.step_ms("open"), "a round trip to PostgreSQL, which raises the fence"),
        ("token", run.step_ms("token"), "memory; TokenVault and its commit once in five minutes for a mailbox"),
        ("history", run.step_ms("history"), "Gmail's answer; Graph has no such step"),
        ("known", run.step_ms("known"), "a round trip to PostgreSQL"),
        ("fetch", run.step_ms("fetch") - normalize, "the provider's answer"),
        ("normalize", normalize, "the processor"),
        ("store", run.step_ms("store"), "an fsync and six round trips to PostgreSQL, at Gmail seven"),
    ]
    between = lag - run.step_ms("queued") - sum(value for _, value, _ in worked)
    steps = [
        ("wait for the commit", _commit_wait_ms(run), "as above"),
        ("commit", _commit_ms(run), "as above"),
        ("wake-up, and the mailbox's turn", turn, "earlier processing of the same mailbox, else the wake-up alone"),
        ("claim", run.step_ms("claim"), "an fsync, a round trip to PostgreSQL and a call"),
        *worked,
        ("between the steps", between, "waiting for a processor that other tasks use"),
        ("stream", _mean(run.event_ms) - lag, "PostgreSQL's NOTIFY, one read, Envoy, the consumer"),
    ]
    return _table("event", run.provider, steps, _mean(run.event_ms))


def _table(what: str, provider: str, steps: Sequence[tuple[str, float, str]], whole: float) -> list[Figure]:
    every = [*steps, (ALL, whole, "")]
    return [Figure(f"{what}, {provider}: {name}", value, "ms", note=bound) for name, value, bound in every]


def _cost(run: Run) -> list[Figure]:
    """Return the cost of a million notifications beyond the cost of the mesh at rest for the same time."""
    load, rest = run.load, run.rest
    kept = load.count("mailmesh_ingest_notifications_total", provider=run.provider, outcome="kept") or 1.0
    share = load.seconds / rest.seconds
    per_commit = load.mean("mailmesh_ingest_group_notifications")
    steps = "mailmesh_processor_step_seconds_count"
    per_hold = load.count(steps, step="normalize") / (load.count(steps, step="open") or 1.0)
    found = [
        ("notifications", kept, "", "the measured number"),
        ("notifications a commit", per_commit, "", "notifications that share a commit"),
        ("messages a lease", per_hold, "", "fetched, of which each becomes an event"),
    ]
    spent = {kind: load.processor_seconds(kind) - rest.processor_seconds(kind) * share for kind in KINDS}
    for kind, name in KINDS.items():
        note = "" if kind in OURS else "the simulated providers, no part of mailmesh"
        found.append((f"CPU, {name}", spent[kind] / kept * _MILLION, "s", note))
    ours = sum(spent[kind] for kind in OURS) / kept * _MILLION
    found.append(("CPU, all of mailmesh", ours, "s", "everything except the simulator"))
    for what in (*SCHEMAS, "WAL"):
        note = "written, and reused after a checkpoint" if what == "WAL" else "growth of tables and indexes"
        found.append((f"disk, {what}", _gib(load.disk_bytes(what), kept), "GiB", note))
    for way, note in (("rx", "webhooks in"), ("tx", "answers, and the events to one consumer, out")):
        name = f"envoy_http_downstream_cx_{way}_bytes_total"
        bytes_ = load.count(name, envoy_http_conn_manager_prefix="edge")
        found.append((f"wire, edge {way}", _gib(bytes_, kept), "GiB", note))
    for cluster in _CLUSTERS:
        for way, note in (("tx", "from Envoy"), ("rx", "to Envoy")):
            bytes_ = load.count(f"envoy_cluster_upstream_cx_{way}_bytes_total", envoy_cluster_name=cluster)
            found.append((f"wire, {cluster} {way}", _gib(bytes_, kept), "GiB", note))
    return [Figure(f"cost, {run.provider}: {name}", value, unit, note=note) for name, value, unit, note in found]


def _floors(runs: Sequence[Run]) -> list[Figure]:
    """Return the lower bounds of the steps."""
    found = []
    for name, note in _FLOORS.items():
        found += [Figure(f"floor, {run.provider}: {name}", run.floors[name], "ms", note=note) for run in runs]
    return [
        *found,
        *(
            Figure(f"floor, {run.provider}: the provider's answer", _mean(run.answer_ms), "ms", note=_ANSWER)
            for run in runs
        ),
    ]


def _rest_of(run: Run) -> list[Figure]:
    """Return the processor time of the mesh at rest."""
    seconds = run.rest.seconds
    return [
        Figure(f"rest, mesh: {name}", run.rest.processor_seconds(kind) / seconds * 100, "% of one processor")
        for kind, name in KINDS.items()
    ]


def _gib(bytes_: float, notifications: float) -> float:
    return bytes_ / notifications * _MILLION / 2**30


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


if __name__ == "__main__":
    measure.main(
        "where_time_goes",
        "Where does the time of a webhook and of an event go, and how much does a million notifications cost?",
        "The whole mesh runs on one machine with the simulated providers, which answer at once. Each provider in"
        " turn delivers 50 mails a second for 30 seconds to ten mailboxes, and a consumer reads StreamEvents"
        " through the edge. Every process's counters are read before and after; the time of a step is the mean of"
        " its histogram. Steps without a counter (decode, lookup, wake-up, floors) are measured separately after"
        " the load, with the same functions and servers. Costs exclude those of the same mesh at rest.",
        program,
    )
