"""The cost of sealing at rest: a drain, page reads and the pass that seals stored events, with and without."""

import os
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from bench import measure
from bench.drain_backlog import drain
from bench.event_store import event_store
from bench.filled_events import fill, tenant, timed_pages
from bench.measure import Figure, Options
from bench.worker_machine import WorkerMachine, worker_machine
from mailmesh.processor.v1 import event_pb2
from mailmesh.vault.v1 import content_key_service_pb2 as vault_pb2
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.ids import new_id
from services.meshkit.secret import Secret
from services.processor.stream.contents import CONTENTS
from services.processor.stream.filter import Selection
from services.processor.stream.sealing import StoredSealing
from services.processor.stream.store import sealed_tenants

QUESTION = "What do a drain and page reads cost when the stored content of the tenants is sealed?"
METHOD = """Two mailboxes of 200 have the same number of events in a real PostgreSQL; those of one are sealed by the
pass that seals stored content, and its time is taken. Pages of both are read at random cursors, one after the other, in
turns. The drain is that of a backlog of mails by one worker process, with durable commits and the simulated Microsoft:
in each turn mailboxes that are not sealed and mailboxes that are. The pass includes taking the planner's statistics of
all tables again. The seed is fixed. Other work ran on the machine's two cores, so only the ratios say much."""
EVENTS, QUICK_EVENTS = 200_000, 5_000
PAGE, PAGES, QUICK_PAGES = 50, 40, 5
MAILS_EACH, DRAINED_TENANTS = 20, 50
QUICK_MAILS_EACH, QUICK_DRAINED_TENANTS = 5, 3
_SEALED, _PLAIN = tenant(7), tenant(8)
_VIEWS = {"basic": event_pb2.EVENT_VIEW_BASIC, "body": event_pb2.EVENT_VIEW_BODY, "whole": event_pb2.EVENT_VIEW_FULL}
_ENABLE = """
    INSERT INTO processor.sealed_tenants (tenant_id, is_enabled, version, enabled_at, position, is_complete, sealed)
    SELECT unnest($1::uuid[]), true, 1, now() - interval '1 hour', 0, false, 0
"""
_BYTES = """
    SELECT sum(octet_length(basic) + octet_length(body) + octet_length(raw))::bigint FROM processor.events
    WHERE tenant_id = $1
"""


async def program(options: Options) -> Sequence[Figure]:
    """Measure the reads and the pass, and the drain."""
    return [*await _reads(options), *await _drains(options)]


async def _reads(options: Options) -> list[Figure]:
    count, pages = (QUICK_EVENTS, QUICK_PAGES) if options.is_quick else (EVENTS, PAGES)
    took: dict[tuple[str, str], list[float]] = {(view, one): [] for view in _VIEWS for one in (_SEALED, _PLAIN)}
    async with event_store(is_careless=True) as url:
        await fill(url, count)
        async with open_pool(Secret(url), "bench", DatabaseLimits(connections=4)) as pool:
            before = await pool.fetchval(_BYTES, _SEALED)
            passed = await _pass(pool)
            after = await pool.fetchval(_BYTES, _SEALED)
            for turn in range(options.repeats):
                for one in (_SEALED, _PLAIN) if turn % 2 else (_PLAIN, _SEALED):
                    for name, view in _VIEWS.items():
                        selection = Selection(frozenset({one}))
                        took[name, one] += (await timed_pages(pool, selection, view, PAGE, pages))[0]
    figures = [
        Figure("sealing stored events", passed, "events/s"),
        Figure("stored bytes, sealed of plain", after / before, "ratio"),
    ]
    for name in _VIEWS:
        plain, sealed = measure.median(took[name, _PLAIN]), measure.median(took[name, _SEALED])
        figures += [
            Figure(f"page of {PAGE}, {name}: p50 plain", plain, "ms"),
            Figure(f"page of {PAGE}, {name}: p50 sealed", sealed, "ms"),
            Figure(f"page of {PAGE}, {name}: sealed of plain", sealed / plain, "ratio"),
        ]
    return figures


async def _pass(pool: Any) -> float:
    """Seal the stored events of a tenant; return the number of events a second."""
    await pool.execute(_ENABLE, [_SEALED])
    async with pool.acquire() as connection:
        CONTENTS.know(await sealed_tenants.all_of(connection))
    CONTENTS.put(_SEALED, new_id(), os.urandom(32))
    began, passing = time.perf_counter(), StoredSealing(pool, (), timedelta())
    while await passing.round():
        pass
    spent = time.perf_counter() - began
    return int(await pool.fetchval("SELECT sealed FROM processor.sealed_tenants")) / spent


async def _drains(options: Options) -> list[Figure]:
    each, tenants = (QUICK_MAILS_EACH, QUICK_DRAINED_TENANTS) if options.is_quick else (MAILS_EACH, DRAINED_TENANTS)
    rates: dict[bool, list[float]] = {False: [], True: []}
    async with worker_machine() as machine:
        for turn in range(options.repeats):
            for is_sealed in (False, True) if turn % 2 == 0 else (True, False):
                rates[is_sealed].append(await _drained(machine, each, tenants, is_sealed=is_sealed))
        is_in_effect = await machine.ground.processor.fetchval(
            "SELECT bool_and(substr(basic, 1, 1) = '\\x01') FROM processor.events"
            " WHERE tenant_id IN (SELECT tenant_id FROM processor.sealed_tenants)"
        )
    if is_in_effect is not True:
        msg = "the drained mail of sealed tenants is not sealed"
        raise RuntimeError(msg)
    plain, sealed = measure.median(rates[False]), measure.median(rates[True])
    return [
        Figure("drain plain", plain, "1/s", note="messages a second, median"),
        Figure("drain sealed", sealed, "1/s"),
        Figure("drain: time sealed, of plain", plain / sealed, "ratio"),
    ]


async def _drained(machine: WorkerMachine, each: int, tenants: int, *, is_sealed: bool) -> float:
    """Drain mails of new mailboxes; return the messages a second."""
    made = await machine.tenants(tenants)
    mails = await machine.mails(made, each)
    if is_sealed:
        ids = [one.tenant_id for one in made]
        for one in ids:
            request = vault_pb2.CreateContentKeyRequest(tenant_id=one)
            await machine.ground.vault.content_keys.CreateContentKey(request)
        await machine.ground.processor.execute(_ENABLE, ids)
    return len(mails) / await drain(machine, mails)


if __name__ == "__main__":
    measure.main("seal_at_rest", QUESTION, METHOD, program)
