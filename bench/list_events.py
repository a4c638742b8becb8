"""The time of a page of `ListEvents` at any cursor of five million events."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from bench import measure
from bench.event_store import event_store
from bench.filled_events import RARE, fill, tenant, timed_pages
from bench.measure import Figure, Options
from mailmesh.processor.v1 import event_pb2
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.secret import Secret
from services.processor.stream.filter import Selection
from services.processor.stream.pages import EventView

QUESTION = "How long does a page of 50 events take, at any cursor of five million events?"
METHOD = """A real PostgreSQL contains events of 200 mailboxes over 30 days, one partition a day. The code that answers
`ListEvents` reads pages at random cursors over the whole range, one after the other. Each page is three statements or
more, and the messages built from them. The seed is fixed."""

EVENTS = 5_000_000
QUICK_EVENTS = 20_000
PAGE = 50
PAGES = 400
QUICK_PAGES = 5
TARGET_MS = 20
BASIC, FULL = event_pb2.EVENT_VIEW_BASIC, event_pb2.EVENT_VIEW_FULL


async def program(options: Options) -> Sequence[Figure]:
    """Fill the store and read it."""
    count = QUICK_EVENTS if options.is_quick else _events
    async with event_store(is_careless=True) as url:
        filled = await fill(url, count)
        async with open_pool(Secret(url), "bench", DatabaseLimits(connections=4)) as pool:
            figures = [Figure("events", count, "events"), Figure("filling", filled, "events/s")]
            for name, selection, view in _cases():
                figures += await _read(pool, name, selection, view, QUICK_PAGES if options.is_quick else PAGES)
            return figures


def _cases() -> list[tuple[str, Selection, EventView]]:
    return [
        ("any event", Selection(None), BASIC),
        ("any event, whole", Selection(None), FULL),
        ("one mailbox of 200", Selection(frozenset({tenant(7)})), BASIC),
        ("40 mailboxes of 200", Selection(frozenset(map(tenant, range(40)))), BASIC),
        ("150 mailboxes of 200", Selection(frozenset(map(tenant, range(150)))), BASIC),
        ("a mailbox with one event in 100,000", Selection(frozenset({RARE})), BASIC),
        ("a type that one event in 10,000 has", Selection(None, event_types=["tenant.*"], kinds=("tenant",)), BASIC),
        ("a type that no event has", Selection(None, event_types=["mail.deleted"]), BASIC),
    ]


async def _read(pool: Any, name: str, selection: Selection, view: EventView, pages: int) -> list[Figure]:
    """Read pages at random cursors."""
    warm, given = await timed_pages(pool, selection, view, PAGE, pages)
    return [
        Figure(f"{name}: p50", measure.median(warm), "ms", note=f"{given:.0f} events a page"),
        Figure(f"{name}: p99", measure.percentile(warm, 99), "ms", f"<= {TARGET_MS}"),
    ]


def _asked_events() -> int:
    """Remove `--events N` from the command line and return N."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--events", type=int, default=EVENTS)
    found, rest = parser.parse_known_args()
    sys.argv[1:] = rest
    return int(found.events)


_events = EVENTS

if __name__ == "__main__":
    _events = _asked_events()
    measure.main("list_events", QUESTION, METHOD, program)
