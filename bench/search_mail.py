"""The time of a search among a million mails, and the cost of the index."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import psutil

from bench import measure
from bench.event_store import event_store
from bench.measure import Figure, Options
from bench.searched_mails import BIG, DAYS, PEOPLE, WORDS, Mails, fill, key_of, tenant
from mailmesh.mail.v1 import event_pb2
from services.meshkit import db
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.secret import Secret
from services.processor.search.indexer import Indexer
from services.processor.search.query import read_query
from services.processor.search.requests import Criteria, Search
from services.processor.search.terms import FROM, Digests, terms_of
from services.processor.stream.pages import EventReader
from services.processor.stream.publish import EventDraft, publish

QUESTION = "How long does a search take among a million mails, and what does the index of a mail cost?"
METHOD = f"""A real PostgreSQL contains the events and the index of mails that a seeded generator makes: 60 to 340 words
each, drawn from {WORDS:,} words by Zipf's law. One mailbox has half of the mails, 50 others share the rest, each with
a key of its own. The use case behind `SearchMail` answers pages of 50 with snippets, one after the other. Each query is
another one, and the first five of a kind only warm up. `PostgreSQL` is its processor time for a search, the mean of
a kind. Common words have ranks up to 20, usual words 100 to 2,000, rare
words 20,000 to {WORDS:,}. A statement that reads nothing, between two searches,
shows how long anything waits. New mail is indexed by the
loop of the server from its events, while the index is in use. The machine has two
cores, and other work ran beside it: `load` is its load average at the end."""

MAILS, QUICK_MAILS = 1_000_000, 3_000
QUERIES, QUICK_QUERIES = 100, 6
NEW_MAILS, QUICK_NEW_MAILS = 5_000, 200
PAGE = 50
WARM = 5
TARGET_MS = 100
SEED = 20261128
_RELATIONS = {
    "the row of a mail": "pg_table_size('processor.search_mails')",
    "the index of terms": "pg_relation_size('processor.search_mails_by_terms')",
    "the other indexes": "pg_indexes_size('processor.search_mails')"
    " - pg_relation_size('processor.search_mails_by_terms')",
    "the event itself, for comparison": "(SELECT sum(pg_total_relation_size(i.inhrelid)) FROM pg_inherits AS i"
    " WHERE i.inhparent = 'processor.events'::regclass)",
}


async def program(options: Options) -> Sequence[Figure]:
    """Fill the store, search it, and index new mail."""
    count = QUICK_MAILS if options.is_quick else _mails
    limits = DatabaseLimits(connections=4, statement_seconds=3000)
    async with event_store(is_careless=True) as url, open_pool(Secret(url), "bench", limits) as pool:
        mails = Mails(SEED)
        seconds = await fill(pool, mails, count)
        figures = [Figure("mails", count, "mails"), Figure("filling the store and building its indexes", seconds, "s")]
        for name, size in _RELATIONS.items():
            figures.append(Figure(name, float(await pool.fetchval(f"SELECT {size}")) / count, "bytes"))
        queries = QUICK_QUERIES if options.is_quick else QUERIES
        figures += await _searches(pool, mails, queries)
        figures += await _new_mail(pool, mails, QUICK_NEW_MAILS if options.is_quick else NEW_MAILS)
        # New mail waits in a list beside the tree of terms, which each search reads as well.
        make = _cases(mails, BIG)["a usual word"]
        figures.append((await _kind(pool, "half of the mails: a usual word, behind new mail", make, queries, []))[1])
        return [*figures, Figure("load", os.getloadavg()[0], "processes")]


def _cases(mails: Mails, owner: str) -> dict[str, Callable[[], Criteria]]:
    chance = mails.chance

    def word(low: int, high: int) -> str:
        return mails.words[chance.randrange(low, high)]

    def asked(*words: Callable[[], str], form: str = "{}", **more: object) -> Criteria:
        query = form.format(" ".join(one() for one in words))
        return Criteria(owner, read_query(query), **more)  # type: ignore[arg-type] # terms and times

    common, usual, rare = partial(word, 0, 20), partial(word, 100, 2000), partial(word, 20_000, WORDS)
    month = datetime.now(UTC) - timedelta(days=DAYS)

    def with_sender() -> Criteria:
        return asked(usual, fields=frozenset([FROM + mails.person(chance.randrange(PEOPLE))]))

    def within_a_day() -> Criteria:
        after = month + timedelta(days=chance.randrange(1, DAYS - 1))
        return asked(usual, after=after, before=after + timedelta(days=1))

    return {
        "a common word": partial(asked, common),
        "a usual word": partial(asked, usual),
        "a rare word": partial(asked, rare),
        "two usual words": partial(asked, usual, usual),
        "a common and a rare word": partial(asked, common, rare),
        "a beginning": partial(asked, usual, form="{}*"),
        "a phrase of two usual words": partial(asked, usual, usual, form='"{}"'),
        "a usual word without a common one": lambda: asked(usual, form="{} -" + mails.words[0]),
        "a usual word from a sender": with_sender,
        "a usual word within a day": within_a_day,
        "a word that no mail has": partial(asked, lambda: f"absent{chance.random()}"),
        "no word: the newest mails": asked,
    }


async def _searches(pool: db.Pool, mails: Mails, queries: int) -> list[Figure]:
    figures: list[Figure] = []
    idle: list[float] = []
    for owner, name in ((BIG, "half of the mails"), (tenant(7), "one in a hundred")):
        every: list[float] = []
        for case, make in _cases(mails, owner).items():
            took, figure = await _kind(pool, f"{name}: {case}", make, queries, idle)
            every += took
            figures.append(figure)
        figures.append(Figure(f"{name}: all kinds, p50", measure.median(every), "ms"))
        figures.append(Figure(f"{name}: all kinds, p99", measure.percentile(every, 99), "ms", f"<= {TARGET_MS}"))
    figures.append(Figure("a statement that reads nothing, p50", measure.median(idle), "ms"))
    figures.append(Figure("a statement that reads nothing, p99", measure.percentile(idle, 99), "ms"))
    return figures


async def _kind(
    pool: db.Pool, name: str, make: Callable[[], Criteria], queries: int, idle: list[float]
) -> tuple[list[float], Figure]:
    """Search for one kind of query; return the milliseconds of each search, and their figure."""
    search, postmaster = Search(pool, EventReader(pool)), await _postmaster(pool)
    took: list[float] = []
    hits = short = 0
    used = 0.0
    for number in range(queries + WARM):
        if number == WARM:
            used = measure.processor_seconds(postmaster)
        criteria = make()
        began = time.perf_counter()
        found = await search.find(criteria, None, PAGE, None)
        took.append((time.perf_counter() - began) * 1000)
        hits += len(found.hits)
        short += found.end is not None and len(found.hits) < PAGE
        began = time.perf_counter()
        await pool.fetchval("SELECT 1")
        idle.append((time.perf_counter() - began) * 1000)
    used = (measure.processor_seconds(postmaster) - used) * 1000 / queries
    note = f"{hits / len(took):.0f} mails a page, p50 {measure.median(took[WARM:]):.1f} ms, PostgreSQL {used:.1f} ms"
    note += f", {short / len(took):.0%} of pages short" if short else ""
    return took[WARM:], Figure(f"{name}, p99", measure.percentile(took[WARM:], 99), "ms", note=note)


async def _postmaster(pool: db.Pool) -> int:
    """Return the process id of the server, which all its processes are below."""
    return psutil.Process(int(await pool.fetchval("SELECT pg_backend_pid()"))).ppid()


async def _new_mail(pool: db.Pool, mails: Mails, count: int) -> list[Figure]:
    """Publish mail and index it."""
    made = list(_made(mails, count))
    for first in range(0, count, 100):
        async with db.transaction(pool) as connection:
            await publish(connection, [EventDraft(mail=one) for one in made[first : first + 100]])
    indexer, began, used = Indexer(pool, EventReader(pool)), time.perf_counter(), time.process_time()
    while await indexer.round():
        pass
    took, used = time.perf_counter() - began, time.process_time() - used
    digests, alone = Digests(key_of(BIG)), time.process_time()
    for one in made:
        digests.of(terms_of(one.message))
    alone = time.process_time() - alone
    return [
        Figure("new mail, indexed", count / took, "mails/s"),
        Figure("new mail, time of a mail", took / count * 1000, "ms"),
        Figure("new mail, processor time of the server for a mail", used / count * 1000, "ms"),
        Figure("new mail, of that for its words", alone / count * 1000, "ms"),
    ]


def _made(mails: Mails, count: int) -> Iterator[event_pb2.NormalizedMailEvent]:
    now = datetime.now(UTC)
    for number in range(count):
        event = mails.mail(10_000_000 + number)
        event.tenant_id = BIG
        event.received_at.FromDatetime(now)
        event.message.mail_received_at.FromDatetime(now)
        yield event


def _asked_mails() -> int:
    """Remove `--mails N` from the command line and return N."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--mails", type=int, default=MAILS)
    found, rest = parser.parse_known_args()
    sys.argv[1:] = rest
    return int(found.mails)


_mails = MAILS

if __name__ == "__main__":
    _mails = _asked_mails()
    measure.main("search_mail", QUESTION, METHOD, program)
