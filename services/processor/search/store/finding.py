"""Find mails by their terms, the newest first, in bounded steps. Each statement is of one tenant.

Two ways lead to them. A walk reads the newest mails one after the other: a word that many mails have is among them. A
list reads all mails that have the terms, and sorts them: a rare word has few. The first steps of the walk show how
frequent the terms are, and which of the two reads less.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import asyncpg

from services.meshkit import db
from services.processor.search.errors import SearchTooSlow

WINDOW = 250
"""The newest mails that are read first, to see how frequent the terms are."""
MOST_WALKED = 20_000
MOST_LISTED = 4_000
"""The mails that one call reads by each way. Beyond them it returns what it has, and the place it reached."""
COST_OF_LISTED = 4
"""The time of a listed mail, which lies anywhere in the table, beside that of a walked one, which lies by the last."""
STATEMENT_SECONDS = 2.0

Place: TypeAlias = tuple[datetime, int]
"""The time of receipt and the position of a mail: what results are sorted by."""

# A plan for any values would guess the same for rare and for common words. The bound of a list makes the planner hope
# to find frequent words by reading the table.
_BOUNDS = f"""
    SET LOCAL statement_timeout = {round(STATEMENT_SECONDS * 1000)};
    SET LOCAL plan_cache_mode = force_custom_plan;
    SET LOCAL enable_seqscan = off
"""
_IN_RANGE = """
    ($3::timestamptz IS NULL OR received_at >= $3) AND ($4::timestamptz IS NULL OR received_at < $4)
    AND ($5::timestamptz IS NULL OR (received_at, position) < ($5, $6))
"""
_ORDER = "ORDER BY received_at DESC, position DESC"
# Long digests are stored apart: appending nothing fetches them once, where each condition would fetch them again.
_FETCHED = "terms || ARRAY[]::integer[] AS terms"
# The last mail that was read is returned in any case: it marks how far the walk came. OFFSET keeps the digests out of
# the rows that the windows store.
_WALK = f"""
    SELECT message_id, received_at, position, fits, with_terms, walked FROM (
        SELECT *, row_number() OVER ({_ORDER}) AS number, count(*) OVER () AS walked,
            count(*) FILTER (WHERE has_terms) OVER () AS with_terms
        FROM (
            SELECT message_id, received_at, position, {{has_terms}} AS has_terms, {{has_terms}} AND {{is_kept}} AS fits
            FROM (
                SELECT message_id, received_at, position, {_FETCHED}
                FROM processor.search_mails WHERE tenant_id = $1 AND {_IN_RANGE} {_ORDER} LIMIT $8
            ) AS newest OFFSET 0
        ) AS judged
    ) AS counted WHERE fits OR number = walked ORDER BY number
"""  # noqa: S608 - constants
# MATERIALIZED: the bound is one of the mails that are read, whether they fit or not. Digests are of one tenant alone,
# so that nothing is gained by another index, which would be read whole for the tenant.
_LIST = f"""
    WITH listed AS MATERIALIZED (
        SELECT tenant_id, message_id, received_at, position, {{is_kept}} AS is_kept FROM (
            SELECT tenant_id, message_id, received_at, position, {_FETCHED}
            FROM processor.search_mails WHERE terms @> $2::integer[] LIMIT $9::bigint + 1
        ) AS with_terms
    ) SELECT message_id, received_at, position, listed FROM (
        SELECT *, count(*) OVER () AS listed FROM listed
    ) AS counted WHERE listed > $9 OR (tenant_id = $1 AND is_kept AND {_IN_RANGE}) {_ORDER} LIMIT $8
"""  # noqa: S608 - constants


@dataclass(frozen=True)
class Wanted:
    """The mails that a query asks the index for.

    Args:
        tenant_id: The tenant.
        digests: The digests of all terms that a mail has.
        excluded: The digests of terms of which a mail has none.
        after: The earliest time of receipt; None means any.
        before: The time that all times of receipt are before; None means any.
        mails: The number of mails in the index, as an estimate.
    """

    tenant_id: str
    digests: Sequence[int]
    excluded: Sequence[int] = ()
    after: datetime | None = None
    before: datetime | None = None
    mails: int = 0


@dataclass(frozen=True)
class Part:
    """A part of the mails.

    Args:
        rows: Message ids, times and positions, the newest first.
        end: The place behind which the next part begins; None when there are no further mails.
    """

    rows: Sequence[asyncpg.Record]
    end: Place | None


async def find(connection: db.Connection, wanted: Wanted, behind: Place | None, limit: int) -> Part:
    """Read the next mails, at most `MOST_WALKED` of the tenant's and `MOST_LISTED` of those that have the terms.

    Args:
        connection: A connection in a transaction.
        wanted: The mails.
        behind: The end of the part before; None for the first part.
        limit: The largest number of mails.

    Raises:
        SearchTooSlow: A statement took more than `STATEMENT_SECONDS`.
    """
    try:
        await connection.execute(_BOUNDS)
        return await _find(connection, wanted, behind, limit)
    except asyncpg.QueryCanceledError as exc:
        raise SearchTooSlow from exc


async def _find(connection: db.Connection, wanted: Wanted, behind: Place | None, limit: int) -> Part:
    values = (wanted.tenant_id, list(wanted.digests), wanted.after, wanted.before)
    excluded = list(wanted.excluded)
    conditions = {"has_terms": _has("$2", values[1]), "is_kept": f"NOT ({_has_any('$7', excluded)})"}
    walk, listing = _WALK.format(**conditions), _LIST.format(**conditions)
    found: list[asyncpg.Record] = []
    walked = with_terms = 0
    place, may_list = behind, bool(wanted.digests)
    window = max(WINDOW, limit) if wanted.digests else limit
    while walked < MOST_WALKED:
        rows = await connection.fetch(walk, *values, *(place or (None, None)), excluded, window)
        found += [row for row in rows if row["fits"]]
        if len(found) >= limit:
            return Part(found[:limit], _place_of(found[limit - 1]))
        if not rows or rows[-1]["walked"] < window:
            return Part(found, None)
        place = _place_of(rows[-1])
        walked += window
        with_terms += rows[-1]["with_terms"]
        ahead = (limit - len(found)) * walked // max(len(found), 1)
        listed = wanted.mails * max(with_terms, 1) // walked
        if may_list and listed < MOST_LISTED and COST_OF_LISTED * listed < ahead:
            missing = limit - len(found)
            rows = await connection.fetch(listing, *values, *place, excluded, missing, MOST_LISTED)
            if not rows or rows[0]["listed"] <= MOST_LISTED:
                found += rows
                return Part(found, _place_of(found[-1]) if len(found) == limit else None)
            may_list = False  # The older mails have the terms more often than the newest ones.
        window = max(1, min(ahead + ahead // 4, MOST_WALKED - walked))
    return Part(found, place)


def _has(parameter: str, digests: Sequence[int]) -> str:
    """Return the condition that a mail has all digests of an array parameter."""
    return " AND ".join([f"{parameter}::integer[] IS NOT NULL", *_memberships(parameter, digests)])


def _has_any(parameter: str, digests: Sequence[int]) -> str:
    """Return the condition that a mail has one of the digests of an array parameter."""
    return " OR ".join([f"{parameter}::integer[] IS NULL", *_memberships(parameter, digests)])


def _memberships(parameter: str, digests: Sequence[int]) -> Iterator[str]:
    """Yield a condition for each digest: a binary search, since the digests of a mail are sorted.

    The operators of arrays read all digests of a mail for each one that is sought, which is 500 as a rule.
    """
    for number in range(1, len(digests) + 1):
        sought = f"({parameter}::integer[])[{number}]"
        yield f"coalesce(terms[width_bucket({sought}, terms)] = {sought}, false)"


def _place_of(row: asyncpg.Record) -> Place:
    return row["received_at"], row["position"]
