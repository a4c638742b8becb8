"""The cases: the script of the mesh, the commands to the client, and the right answers."""

from dataclasses import dataclass

import grpc

from clients.conformance.script import (
    MIB,
    SHUTTING_DOWN,
    UNKNOWN_FIELD,
    UNKNOWN_STATUS,
    UNKNOWN_STEP,
    Cut,
    Fail,
    Next,
    Opening,
    Send,
    Silence,
    event,
    event_of_tomorrow,
    heartbeat,
    tenant,
)

# An event has at most 1 MiB; the rest is its envelope.
LARGEST_TEXT = MIB - 1024
UNAUTHENTICATED, UNAVAILABLE = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAVAILABLE
OUT_OF_RANGE = grpc.StatusCode.OUT_OF_RANGE
PASSING = ("OVERLOADED", "RATE_LIMITED", "READER_TOO_SLOW", "SERVICE_UNAVAILABLE", "STORE_UNAVAILABLE")


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        name: Its name, which is also the API key of its calls.
        title: The duty of the client, for the table.
        openings: The script of each call, in order.
        commands: The fields of the commands behind their name; `{url}`, `{key}` and `{folder}` are filled in.
        answers: The lines that the client must print.
        asked: The cursors, or names of calls, that the mesh must see, in order.
        least_pause_seconds: The least time between the first two calls.
        may_ask_again: Whether a cursor may be asked for several times in a row: a reset may swallow an event.
    """

    name: str
    title: str
    openings: tuple[Opening, ...]
    commands: tuple[tuple[str, ...], ...]
    answers: tuple[str, ...]
    asked: tuple[str, ...]
    least_pause_seconds: float = 0.0
    may_ask_again: bool = False


def _follow(count: int, *, store: str = "memory:", gap: str = "raise") -> tuple[str, ...]:
    return ("follow", "{url}", "{key}", store, str(count), gap)


def _events(*numbers: int) -> tuple[str, ...]:
    return tuple(f"event\tevent-{number}\tmail.created\t0" for number in numbers)


FILE = "file:{folder}/cursor"
TENANT = ("tenant", "{url}", "{key}", "tenant-1")

FOLLOWING = (
    Case(
        "resume_after_shutdown",
        "continues behind the last processed event when the stream ends with SHUTTING_DOWN",
        ((event(1), event(2), SHUTTING_DOWN), (event(3), event(4))),
        (_follow(3),),
        (*_events(1, 2, 3), "cursor\t3", "end"),
        ("earliest", "2"),
    ),
    Case(
        "resume_after_end",
        "continues when the stream ends without a failure",
        ((event(1),), (event(2), event(3))),
        (_follow(2),),
        (*_events(1, 2), "cursor\t2", "end"),
        ("earliest", "1"),
    ),
    Case(
        "connection_reset",
        "continues after the connection is reset and the edge is away for a while",
        ((Next(), Cut(0.4)), (Next(), Cut(0.4)), (Next(), Cut(0.4)), (Next(), Silence())),
        (_follow(3),),
        (*_events(1, 2, 3), "cursor\t3", "end"),
        ("earliest", "1", "2", "3"),
        may_ask_again=True,
    ),
    Case(
        "silent_stream",
        "opens the stream again when heartbeats stay away",
        ((event(1), Silence()), (event(2), event(3))),
        (_follow(2),),
        (*_events(1, 2), "cursor\t2", "end"),
        ("earliest", "1"),
    ),
    Case(
        "passing_reasons",
        "waits and continues after every reason that passes",
        (*((Fail(UNAVAILABLE, reason),) for reason in PASSING), (event(1), event(2))),
        (_follow(1),),
        (*_events(1), "cursor\t1", "end"),
        ("earliest",) * 6,
    ),
    Case(
        "retry_after",
        "waits for the pause that mesh asks for",
        ((Fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", retry_after_seconds=1),), (event(1), event(2))),
        (_follow(1),),
        (*_events(1), "cursor\t1", "end"),
        ("earliest", "earliest"),
        least_pause_seconds=1.0,
    ),
    Case(
        "reason_of_tomorrow_passes",
        "retries an unknown reason whose code is UNAVAILABLE",
        ((Fail(UNAVAILABLE, "MOON_TOO_FULL"),), (event(1), event(2))),
        (_follow(1),),
        (*_events(1), "cursor\t1", "end"),
        ("earliest", "earliest"),
    ),
    Case(
        "reason_of_tomorrow_fails",
        "reports an unknown reason with another code, and does not retry",
        ((Fail(grpc.StatusCode.FAILED_PRECONDITION, "MOON_TOO_NEW", {"phase": "new"}),),),
        (_follow(1),),
        ("cursor\t", "error\tfailed\tMOON_TOO_NEW\t\tphase=new", "end"),
        ("earliest",),
    ),
    Case(
        "proxy_failure",
        "continues after a failure without details, as a proxy on the way sends it",
        ((Fail(UNAVAILABLE),), (event(1), Fail(grpc.StatusCode.UNKNOWN)), (event(2), event(3))),
        (_follow(2),),
        (*_events(1, 2), "cursor\t2", "end"),
        ("earliest", "earliest", "1"),
    ),
    Case(
        "key_refused",
        "reports a refused key at once, and does not retry",
        ((Fail(UNAUTHENTICATED, "API_KEY_INVALID"),),),
        (_follow(1),),
        ("cursor\t", "error\tkey_refused\tAPI_KEY_INVALID\t\t", "end"),
        ("earliest",),
    ),
    Case(
        "key_revoked",
        "reports a key that is revoked during the stream, with the cursor kept",
        ((event(1), Fail(UNAUTHENTICATED, "KEY_REVOKED")),),
        (_follow(2),),
        (*_events(1), "cursor\t1", "error\tkey_refused\tKEY_REVOKED\t\t", "end"),
        ("earliest",),
    ),
    Case(
        "heartbeat_only",
        "saves the positions of heartbeats, so that a filtered reader moves on",
        ((heartbeat(5), heartbeat(6), SHUTTING_DOWN), (event(7), event(8))),
        (_follow(1, store=FILE),),
        (*_events(7), "cursor\t7", "end"),
        ("earliest", "6"),
    ),
    Case(
        "clock_skew",
        "takes heartbeats whose clock is decades ahead or behind",
        ((heartbeat(1, sent_at_seconds=4_000_000_000), heartbeat(2, sent_at_seconds=1), event(3), event(4)),),
        (_follow(1),),
        (*_events(3), "cursor\t3", "end"),
        ("earliest",),
    ),
)

CURSORS = (
    Case(
        "cursor_expired",
        "reports the gap and continues from the oldest cursor, if the caller wants that",
        ((Fail(OUT_OF_RANGE, "CURSOR_EXPIRED", {"oldest_cursor": "40"}),), (event(41), event(42))),
        (_follow(1, store="memory:7", gap="continue"),),
        ("gap\tCURSOR_EXPIRED\t40", *_events(41), "cursor\t41", "end"),
        ("7", "40"),
    ),
    Case(
        "cursor_expired_raises",
        "fails with the oldest cursor, if the caller did not say that gaps are acceptable",
        ((Fail(OUT_OF_RANGE, "CURSOR_EXPIRED", {"oldest_cursor": "40"}),),),
        (_follow(1, store="memory:7"),),
        ("cursor\t7", "error\tcursor_lost\tCURSOR_EXPIRED\t\toldest_cursor=40", "end"),
        ("7",),
    ),
    Case(
        "epoch_changed",
        "continues in the new epoch after the stream is cut by a restored store",
        (
            (event(1), SHUTTING_DOWN),
            (Fail(OUT_OF_RANGE, "CURSOR_EPOCH_CHANGED", {"oldest_cursor": "b0"}),),
            (event(1), event(2), event(3)),
        ),
        (_follow(3, gap="continue"),),
        (*_events(1), "gap\tCURSOR_EPOCH_CHANGED\tb0", *_events(1, 2), "cursor\t2", "end"),
        ("earliest", "1", "b0"),
    ),
    Case(
        "file_across_restarts",
        "continues from its file after a restart",
        ((event(1), event(2), event(3)), (event(3), event(4))),
        (_follow(2, store=FILE), _follow(1, store=FILE)),
        (*_events(1, 2), "cursor\t2", "end", *_events(3), "cursor\t3", "end"),
        ("earliest", "2"),
    ),
    Case(
        "unprocessed_event_again",
        "does not save the cursor of an event whose processing did not end",
        ((event(1), event(2)), (event(2), event(3))),
        (_follow(1, store=FILE), _follow(1, store=FILE)),
        (*_events(1), "cursor\t1", "end", *_events(2), "cursor\t2", "end"),
        ("earliest", "1"),
    ),
)

CONTENT = (
    Case(
        "largest_events",
        "takes events of 1 MiB, one behind the other",
        (tuple(event(number, text="x" * LARGEST_TEXT) for number in range(1, 10)),),
        (_follow(8),),
        (*(f"event\tevent-{number}\tmail.created\t{LARGEST_TEXT}" for number in range(1, 9)), "cursor\t8", "end"),
        ("earliest",),
    ),
    Case(
        "unknown_fields",
        "passes over fields of tomorrow",
        ((event(1, beyond=UNKNOWN_FIELD), event(2)),),
        (_follow(1),),
        (*_events(1), "cursor\t1", "end"),
        ("earliest",),
    ),
    Case(
        "kinds_of_tomorrow",
        "passes over events and steps of kinds of tomorrow, and keeps the position",
        ((event_of_tomorrow(1), Send(UNKNOWN_STEP), SHUTTING_DOWN), (event(2), event(3))),
        (_follow(1),),
        (*_events(2), "cursor\t2", "end"),
        ("earliest", "1"),
    ),
    Case(
        "enum_value_of_tomorrow",
        "keeps the number of an enum value of tomorrow",
        ((tenant(UNKNOWN_STATUS),),),
        (TENANT,),
        (f"tenant\ttenant-1\t{UNKNOWN_STATUS}", "end"),
        ("GetTenant",),
    ),
)

ERRORS = (
    Case(
        "error_by_reason",
        "gives the reason, the metadata and the pause of a failed call",
        (
            (Fail(grpc.StatusCode.NOT_FOUND, "TENANT_NOT_FOUND", {"tenant_id": "tenant-1", "hint": "later"}),),
            (Fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "PROVIDER_THROTTLED", retry_after_seconds=7),),
        ),
        (TENANT, TENANT),
        (
            "error\tfailed\tTENANT_NOT_FOUND\t\thint=later,tenant_id=tenant-1",
            "end",
            "error\tfailed\tPROVIDER_THROTTLED\t7\t",
            "end",
        ),
        ("GetTenant", "GetTenant"),
    ),
    Case(
        "error_without_details",
        "gives the code of a failure that is not mailmesh's own",
        ((Fail(grpc.StatusCode.UNIMPLEMENTED),),),
        (TENANT,),
        ("error\tfailed\tUNIMPLEMENTED\t\t", "end"),
        ("GetTenant",),
    ),
)

CASES = (*FOLLOWING, *CURSORS, *CONTENT, *ERRORS)
