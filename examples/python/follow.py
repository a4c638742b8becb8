"""A consumer of mailmesh in Python: lists tenants, follows events so that none is lost, and writes once.

    MAILMESH_URL=http://127.0.0.1:8080 MAILMESH_API_KEY=... python follow.py tenants
    python follow.py tenant TENANT_ID
    python follow.py tail CURSOR_FILE [HOW_MANY]
    python follow.py reply TENANT_ID MESSAGE_ID TEXT
    python follow.py meet CALENDAR_ID SUBJECT START END TIME_ZONE
    python follow.py accept CALENDAR_EVENT_ID

It needs gen/python and the packages grpcio, grpcio-status and googleapis-common-protos.
"""

import asyncio
import hashlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from mailmesh.processor.v1 import (
    calendar_service_pb2,
    calendar_service_pb2_grpc,
    event_pb2,
    event_service_pb2,
    event_service_pb2_grpc,
    send_service_pb2,
    send_service_pb2_grpc,
)
from mailmesh.vault.v1 import tenant_pb2, tenant_service_pb2, tenant_service_pb2_grpc

CALL_SECONDS = 30
FAILURES_IN_A_ROW = 10
# The stream ended, but the last position is good: open it again.
PASSING = {"OVERLOADED", "RATE_LIMITED", "READER_TOO_SLOW", "SERVICE_UNAVAILABLE", "SHUTTING_DOWN", "STORE_UNAVAILABLE"}
# The events between the saved cursor and the oldest event are gone: report that, and continue from there.
CURSOR_LOST = {"CURSOR_EXPIRED", "CURSOR_EPOCH_CHANGED"}


def connect() -> tuple[grpc.aio.Channel, list[tuple[str, str]]]:
    """Returns a channel to the edge and the metadata that goes with every call."""
    url = urlsplit(os.environ.get("MAILMESH_URL", "http://127.0.0.1:8080"))
    # Finds out about a connection that died in silence.
    options = [("grpc.keepalive_time_ms", 60_000), ("grpc.keepalive_timeout_ms", 20_000)]
    metadata = [("authorization", f"Bearer {os.environ['MAILMESH_API_KEY']}")]
    if url.scheme == "https":
        return grpc.aio.secure_channel(url.netloc, grpc.ssl_channel_credentials(), options), metadata
    return grpc.aio.insecure_channel(url.netloc, options), metadata


def error_info(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    """Returns why a call failed; `reason` is one of the catalogue, or empty when the failure is not mailmesh's own."""
    try:
        status = rpc_status.from_call(error)  # type: ignore[arg-type]  # has the fields that it reads
    except (ValueError, DecodeError):  # a proxy on the way wrote a code or a message of its own
        status = None
    info = error_details_pb2.ErrorInfo()
    for detail in status.details if status else []:
        if detail.Unpack(info):
            break
    return info


async def tenants(channel: grpc.aio.Channel, metadata: list[tuple[str, str]]) -> AsyncIterator[tenant_pb2.Tenant]:
    """Yields every tenant that the key may see, page by page."""
    stub = tenant_service_pb2_grpc.TenantServiceStub(channel)
    request = tenant_service_pb2.ListTenantsRequest()
    while True:
        page = await stub.ListTenants(request, metadata=metadata, timeout=CALL_SECONDS)
        for tenant in page.tenants:
            yield tenant
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


async def steps(
    channel: grpc.aio.Channel, metadata: list[tuple[str, str]], cursor: str
) -> AsyncIterator[tuple[str, event_pb2.Event | None]]:
    """Yields the position of each step behind the cursor, for ever, with the event if the step has one."""
    stub = event_service_pb2_grpc.EventServiceStub(channel)
    failures = 0
    while True:
        try:
            request = event_service_pb2.StreamEventsRequest(cursor=cursor)
            async for step in stub.StreamEvents(request, metadata=metadata):
                failures = 0
                event = step.event if step.WhichOneof("step") == "event" else None
                cursor = event.position if event else step.heartbeat.position
                yield cursor, event
        except grpc.aio.AioRpcError as error:
            failures += 1
            cursor = go_on_from(error, cursor, failures)
        await asyncio.sleep(min(0.1 * 2**failures, 30))


def go_on_from(error: grpc.aio.AioRpcError, cursor: str, failures: int) -> str:
    """Returns the cursor to open the stream again with, or raises the failure that a new cursor does not fix."""
    info = error_info(error)
    if failures > FAILURES_IN_A_ROW:
        raise error
    if info.reason in CURSOR_LOST:
        print(f"{info.reason}: events were missed", file=sys.stderr)
        return info.metadata["oldest_cursor"]
    if info.reason in PASSING or error.code() == grpc.StatusCode.UNAVAILABLE:
        return cursor
    raise error


async def tail(channel: grpc.aio.Channel, metadata: list[tuple[str, str]], cursor_file: Path, how_many: int) -> None:
    """Prints events from the saved cursor on, and saves the cursor after it has processed each event.

    An event is delivered again when the program dies while it processes it; its id is the same each time.
    """
    async for position, event in steps(channel, metadata, load(cursor_file)):
        if event:
            print(line_of(event), flush=True)
            how_many -= 1
        save(cursor_file, position)
        if how_many == 0:
            return


async def reply(
    channel: grpc.aio.Channel, metadata: list[tuple[str, str]], tenant_id: str, message_id: str, text: str
) -> str:
    """Answers a mail of an account and returns the id of the send.

    The key is derived from the mail that is answered, so that the program may be repeated after any failure: it is the
    same send, and never a second mail.
    """
    stub = send_service_pb2_grpc.SendServiceStub(channel)
    request = send_service_pb2.SendRequest(
        idempotency_key="reply-" + hashlib.sha256(message_id.encode()).hexdigest(),
        tenant_id=tenant_id,
        reply=send_service_pb2.Reply(message_id=message_id, text=text),
    )
    answer = await stub.Send(request, metadata=metadata, timeout=CALL_SECONDS)
    return answer.send.send_id


async def meet(
    channel: grpc.aio.Channel, metadata: list[tuple[str, str]], calendar_id: str, subject: str, times: list[str]
) -> str:
    """Creates a Teams meeting and returns the id of the write.

    `times` has start, end and IANA time zone. The key is derived from the meeting, so that the program may be repeated
    after any failure: it is the same write, and never a second meeting.
    """
    start, end, zone = times
    event = calendar_service_pb2.NewCalendarEvent(
        subject=subject,
        start=calendar_service_pb2.NewEventTime(local=start, time_zone=zone),
        end=calendar_service_pb2.NewEventTime(local=end, time_zone=zone),
        online_meeting_provider="teamsForBusiness",
    )
    meeting = "\n".join([calendar_id, subject, *times])
    request = calendar_service_pb2.CreateCalendarEventRequest(
        idempotency_key="meet-" + hashlib.sha256(meeting.encode()).hexdigest(),
        calendar_id=calendar_id,
        event=event,
        notify=calendar_service_pb2.CALENDAR_NOTIFY_ALL,
    )
    stub = calendar_service_pb2_grpc.CalendarServiceStub(channel)
    answer = await stub.CreateCalendarEvent(request, metadata=metadata, timeout=CALL_SECONDS)
    return answer.write.calendar_write_id


async def accept(channel: grpc.aio.Channel, metadata: list[tuple[str, str]], event_id: str) -> str:
    """Accepts an invitation, notifies its organizer, and returns the id of the write; it may be repeated, too."""
    request = calendar_service_pb2.RespondToCalendarEventRequest(
        idempotency_key=f"accept-{event_id}",
        calendar_event_id=event_id,
        answer=calendar_service_pb2.CALENDAR_ANSWER_ACCEPTED,
        notify=calendar_service_pb2.CALENDAR_NOTIFY_ALL,
    )
    stub = calendar_service_pb2_grpc.CalendarServiceStub(channel)
    answer = await stub.RespondToCalendarEvent(request, metadata=metadata, timeout=CALL_SECONDS)
    return answer.write.calendar_write_id


def load(cursor_file: Path) -> str:
    """Returns the saved cursor, or the beginning when there is none yet."""
    return cursor_file.read_text() if cursor_file.exists() else "earliest"


def save(cursor_file: Path, cursor: str) -> None:
    """Puts the cursor in the place of the old one in one step."""
    fresh = cursor_file.with_suffix(".new")
    fresh.write_text(cursor)
    fresh.replace(cursor_file)


def line_of(event: event_pb2.Event) -> str:
    """Returns an event in a line. Kinds that this program does not know have only their position."""
    if event.WhichOneof("kind") == "mail":
        return f"{event.mail.event_type}\t{event.mail.tenant_id}\t{event.mail.message.subject}"
    if event.WhichOneof("kind") == "tenant":
        return f"{event.tenant.event_type}\t{event.tenant.tenant_id}\t{event.tenant.status_reason}"
    if event.WhichOneof("kind") == "send":
        return f"{event.send.event_type}\t{event.send.tenant_id}\t{event.send.idempotency_key}"
    return f"unknown\t{event.position}"


async def run(arguments: list[str]) -> int:
    """Executes the command line; returns the exit status."""
    channel, metadata = connect()
    async with channel:
        match arguments:
            case ["tenants"]:
                async for tenant in tenants(channel, metadata):
                    status = tenant_pb2.TenantStatus.Name(tenant.status).removeprefix("TENANT_STATUS_").lower()
                    print(f"{tenant.tenant_id}\t{tenant.provider}\t{status}\t{tenant.address}")
            case ["tenant", tenant_id]:
                stub = tenant_service_pb2_grpc.TenantServiceStub(channel)
                request = tenant_service_pb2.GetTenantRequest(tenant_id=tenant_id)
                answer = await stub.GetTenant(request, metadata=metadata, timeout=CALL_SECONDS)
                print(f"{answer.tenant.tenant_id}\t{answer.tenant.address}")
            case ["tail", cursor_file, *rest]:
                await tail(channel, metadata, Path(cursor_file), int(rest[0]) if rest else sys.maxsize)
            case ["reply", tenant_id, message_id, text]:
                print(await reply(channel, metadata, tenant_id, message_id, text))
            case ["meet", calendar_id, subject, start, end, zone]:
                print(await meet(channel, metadata, calendar_id, subject, [start, end, zone]))
            case ["accept", event_id]:
                print(await accept(channel, metadata, event_id))
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    return 0


def main() -> int:
    """Runs the program and prints advice for failures that a person can fix."""
    try:
        return asyncio.run(run(sys.argv[1:]))
    except grpc.aio.AioRpcError as error:
        info = error_info(error)
        match info.reason:
            case "TENANT_NOT_FOUND":
                print(f"there is no tenant {info.metadata['tenant_id']}", file=sys.stderr)
            case "API_KEY_INVALID" | "KEY_REVOKED":
                print("the API key is not good (any more)", file=sys.stderr)
            case _:
                print(f"{info.reason or error.code().name}: {error.details()}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
