"""`mailmesh endpoints`: the attempts of an endpoint, and deliveries that are asked for by hand."""

from typing import Annotated

import typer

from mailmesh.delivery.v1 import endpoint_service_pb2 as messages
from mailmesh.delivery.v1 import endpoint_service_pb2_grpc as services
from stack.cli.connection import channel
from stack.cli.endpoints import EndpointArgument, app
from stack.cli.exits import CommandError
from stack.cli.output import (
    JsonOption,
    LimitOption,
    pages,
    parse_time,
    print_json,
    print_record,
    print_table,
    when,
    word,
)

__all__ = ["app"]
OUTCOME = "ATTEMPT_OUTCOME_"


@app.command("test")
def send_test(context: typer.Context, endpoint_id: EndpointArgument, *, json: JsonOption = False) -> None:
    """Send one webhook of type endpoint.test and show the answer.

    Examples:
      mailmesh endpoints test 019a9f0e-7c1e-7000-8000-00000000000b
    """
    with channel(context) as opened:
        request = messages.TestEndpointRequest(endpoint_id=endpoint_id)
        found = services.EndpointServiceStub(opened).TestEndpoint(request).attempt
    if json:
        print_json(found)
    else:
        print_record(
            [
                ("outcome", _outcome(found)),
                ("status", str(found.status or "")),
                ("reason", found.reason),
                ("seconds", f"{found.duration.ToMilliseconds() / 1000:g}"),
                ("answer", found.answer),
            ]
        )
    if found.outcome != messages.ATTEMPT_OUTCOME_DELIVERED:
        raise CommandError(f"the test failed: {found.reason} {found.status or ''}".rstrip())


@app.command("attempts")
def list_attempts(
    context: typer.Context,
    endpoint_id: EndpointArgument,
    *,
    event: Annotated[str, typer.Option(help="List only attempts of this event.")] = "",
    limit: LimitOption = 100,
    json: JsonOption = False,
) -> None:
    """List the attempts of an endpoint, newest first.

    Examples:
      mailmesh endpoints attempts 019a9f0e-7c1e-7000-8000-00000000000b
    """
    with channel(context) as opened:
        stub = services.EndpointServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[list[messages.Attempt], str]:
            request = messages.ListAttemptsRequest(
                endpoint_id=endpoint_id, page_size=size, page_token=token, event_id=event
            )
            answer = stub.ListAttempts(request)
            return list(answer.attempts), answer.next_page_token

        found = list(pages(fetch, limit))
    if json:
        print_json(found)
        return
    print_table(
        ("ATTEMPT", "EVENT", "TYPE", "NUMBER", "STARTED", "OUTCOME", "STATUS", "REASON", "NEXT"),
        [
            (
                *(one.attempt_id, one.event_id, one.event_type, str(one.number), when(one.started_at), _outcome(one)),
                *(str(one.status or ""), one.reason, when(one.next_attempt_at)),
            )
            for one in found
        ],
        "There are no attempts.",
    )


@app.command()
def retry(
    context: typer.Context,
    endpoint_id: EndpointArgument,
    attempt_id: Annotated[str, typer.Argument(metavar="ATTEMPT", help="Id of an attempt; `attempts` shows it.")],
) -> None:
    """Deliver the event of an attempt now, once more if it was delivered.

    Examples:
      mailmesh endpoints retry 019a9f0e-7c1e-7000-8000-00000000000b 019a9f0e-7c1e-7000-8000-00000000000c
    """
    request = messages.RetryAttemptRequest(endpoint_id=endpoint_id, attempt_id=attempt_id)
    with channel(context) as opened:
        services.EndpointServiceStub(opened).RetryAttempt(request)


@app.command()
def recover(
    context: typer.Context,
    endpoint_id: EndpointArgument,
    *,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Only those exhausted since then.")] = None,
    events_from: Annotated[
        str | None,
        typer.Option("--events-from", metavar="TIME", help="Every event from then on, delivered ones too."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count them.")] = False,
    json: JsonOption = False,
) -> None:
    """Deliver exhausted events again, with a new schedule; or all events from a time on.

    Examples:
      mailmesh endpoints recover 019a9f0e-7c1e-7000-8000-00000000000b --dry-run
      mailmesh endpoints recover 019a9f0e-7c1e-7000-8000-00000000000b --events-from 2026-11-27T08:00:00Z
    """
    request = messages.RecoverEndpointRequest(
        endpoint_id=endpoint_id,
        exhausted_from=parse_time(since),
        events_from=parse_time(events_from),
        dry_run=dry_run,
    )
    with channel(context) as opened:
        found = services.EndpointServiceStub(opened).RecoverEndpoint(request)
    if json:
        print_json(found)
        return
    print_record([("deliveries", f"{'at least ' if found.has_more else ''}{found.deliveries}")])


def _outcome(found: messages.Attempt) -> str:
    return word(messages.AttemptOutcome.Name(found.outcome), OUTCOME)
