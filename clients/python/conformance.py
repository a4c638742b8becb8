"""Runs the cases of the conformance suite with the client: `python conformance.py FOLDER asyncio|threads`.

FOLDER has the installed package. Cases come from the standard input, one a line; clients/README.md describes them.
"""

import asyncio
import base64
import sys
from collections.abc import Callable, Iterator

# The package as it is installed, whatever this machine's Python has besides.
sys.path.insert(0, sys.argv[1])

from mailmesh.processor.v1 import event_pb2
from mailmesh.vault.v1 import tenant_service_pb2, tenant_service_pb2_grpc
from mailmesh_client import (
    Backoff,
    CursorLostError,
    CursorStore,
    FileCursorStore,
    FollowOptions,
    MailmeshError,
    MemoryCursorStore,
    connect,
    connect_sync,
    follow,
    follow_sync,
    typed_errors,
    verify_webhook,
)

Say = Callable[..., None]
ANSWER_SECONDS = 30.0


def main(manner: str) -> None:
    """Answer each case."""
    for line in sys.stdin:
        command, name, *fields = line.rstrip("\n").split("\t")

        def say(*words: str, name: str = name) -> None:
            print("\t".join((name, *words)), flush=True)

        try:
            COMMANDS[command](manner, say, *fields)
        except MailmeshError as error:
            say("error", *words_of(error))
        say("end")


def words_of(error: MailmeshError) -> Iterator[str]:
    """Return an error's kind, reason, pause and metadata."""
    yield {"CursorLostError": "cursor_lost", "KeyRefusedError": "key_refused"}.get(type(error).__name__, "failed")
    yield error.reason or error.code.name
    yield "" if error.retry_after_seconds is None else f"{error.retry_after_seconds:.0f}"
    yield ",".join(f"{key}={error.metadata[key]}" for key in sorted(error.metadata))


def follow_case(manner: str, say: Say, url: str, key: str, store: str, count: str, gap: str) -> None:
    """Follow until `count` events are processed; the next one is left unprocessed."""
    kind, _, place = store.partition(":")
    kept: CursorStore = FileCursorStore(place) if kind == "file" else MemoryCursorStore(place)

    def report(lost: CursorLostError) -> None:
        say("gap", lost.reason, lost.oldest_cursor)

    options = FollowOptions(
        view=event_pb2.EVENT_VIEW_BODY,
        heartbeat_seconds=1,
        backoff=Backoff(0.05, 0.2),
        on_gap=report if gap == "continue" else None,
    )
    process = processor(say, int(count))
    try:
        if manner == "asyncio":
            asyncio.run(follow_async(url, key, kept, options, process))
        else:
            follow_threads(url, key, kept, options, process)
    finally:
        say("cursor", str(kept.load()))


def processor(say: Say, count: int) -> Callable[[event_pb2.Event], bool]:
    """Return the processing of events: it tells each of `count` events, and returns True at the next, unprocessed."""
    seen = 0

    def process(event: event_pb2.Event) -> bool:
        nonlocal seen
        seen += 1
        if seen > count:
            return True
        say("event", event.mail.event_id, event.mail.event_type, str(len(event.mail.message.body.text)))
        return False

    return process


async def follow_async(
    url: str, key: str, store: CursorStore, options: FollowOptions, process: Callable[[event_pb2.Event], bool]
) -> None:
    """Follow with asyncio."""
    async with connect(url, key) as channel:
        async for event in follow(channel, store, options):
            if process(event):
                return


def follow_threads(
    url: str, key: str, store: CursorStore, options: FollowOptions, process: Callable[[event_pb2.Event], bool]
) -> None:
    """Follow with a blocked thread."""
    with connect_sync(url, key) as channel:
        for event in follow_sync(channel, store, options):
            if process(event):
                return


def tenant_case(manner: str, say: Say, url: str, key: str, tenant_id: str) -> None:
    """Read a tenant."""
    request = tenant_service_pb2.GetTenantRequest(tenant_id=tenant_id)

    async def asynchronous() -> tenant_service_pb2.GetTenantResponse:
        async with connect(url, key) as channel:
            with typed_errors():
                return await tenant_service_pb2_grpc.TenantServiceAsyncStub(channel).GetTenant(request)

    if manner == "asyncio":
        answer = asyncio.run(asynchronous())
    else:
        with connect_sync(url, key) as channel, typed_errors():
            answer = tenant_service_pb2_grpc.TenantServiceStub(channel).GetTenant(request)
    say("tenant", answer.tenant.tenant_id, str(int(answer.tenant.status)))


def verify_case(_manner: str, say: Say, *fields: str) -> None:
    """Verify a webhook."""
    now, webhook_id, timestamp, signatures, body, keys = fields
    headers = {"webhook-id": webhook_id, "webhook-timestamp": timestamp, "webhook-signature": signatures}
    say(verify_webhook(keys.split(), headers, base64.b64decode(body), float(now)))


COMMANDS: dict[str, Callable[..., None]] = {"follow": follow_case, "tenant": tenant_case, "verify": verify_case}


if __name__ == "__main__":
    main(sys.argv[2])
