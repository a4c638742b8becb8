"""`mailmesh search`: find stored mail by its words, and choose the tenants whose mail is indexed."""

from typing import Annotated

import typer

from mailmesh.processor.v1 import search_service_pb2 as messages
from mailmesh.processor.v1 import search_service_pb2_grpc as services
from stack.cli.connection import channel
from stack.cli.messages import TenantOption
from stack.cli.output import (
    TIME_FORMS,
    JsonOption,
    LimitOption,
    pages,
    parse_time,
    print_json,
    print_record,
    print_table,
    show_aside,
    when,
)

settings_app = typer.Typer(no_args_is_help=True, help="Choose the tenants whose mail `search` finds.")
TenantArgument = Annotated[str, typer.Argument(metavar="TENANT", help="Id of the tenant; `tenants list` shows it.")]


def search(
    context: typer.Context,
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help='Words that a mail has; wor* "a phrase" -without. Empty: any.')
    ] = "",
    *,
    tenant: TenantOption,
    sender: Annotated[str, typer.Option("--from", metavar="ADDRESS", help="Address or domain of the author.")] = "",
    to: Annotated[str, typer.Option(metavar="ADDRESS", help="Address or domain of a recipient.")] = "",
    since: Annotated[str | None, typer.Option(metavar="TIME", help=f"Received then or later: {TIME_FORMS}.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help=f"Received before: {TIME_FORMS}.")] = None,
    attachment: Annotated[
        bool | None, typer.Option("--attachment/--no-attachment", help="Only mails with, or without, attachments.")
    ] = None,
    folder: Annotated[str, typer.Option(help="Id of the folder, Microsoft only.")] = "",
    label: Annotated[str, typer.Option(help="Id of a label, Google only.")] = "",
    limit: LimitOption = 50,
    json: JsonOption = False,
) -> None:
    """Find stored mail of a tenant whose mail is indexed, the newest first.

    It finds what is in the mesh's own events, and asks no provider; `messages search` does that.

    Examples:
      mailmesh search "invoice overdue" --tenant 019a9f0e-7c1e-7000-8000-000000000002
      mailmesh search "rechnung*" --tenant 019a9f0e-7c1e-7000-8000-000000000002 --from example.com --since 7d --json
    """
    request = messages.SearchMailRequest(
        tenant_id=tenant,
        query=query,
        to=to,
        received_after=parse_time(since),
        received_before=parse_time(until),
        has_attachment=attachment,
        folder_id=folder,
        label_id=label,
    )
    setattr(request, "from", sender)
    is_indexing = False
    with channel(context) as opened:
        stub = services.SearchServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[list[messages.SearchHit], str]:
            nonlocal is_indexing
            request.page_size, request.page_token = size, token
            answer = stub.SearchMail(request)
            is_indexing = is_indexing or answer.is_indexing
            return list(answer.hits), answer.next_page_token

        found = list(pages(fetch, limit))
    if is_indexing:
        show_aside("Stored mail is still being indexed: later there may be more.")
    if json:
        print_json(found)
        return
    print_table(
        ("RECEIVED", "FROM", "SUBJECT", "TEXT", "MESSAGE"),
        [(when(one.received_at), one.from_address.address, one.subject, one.snippet, one.message_id) for one in found],
        "No stored mail matches.",
    )


@settings_app.command()
def get(context: typer.Context, tenant: TenantArgument, *, json: JsonOption = False) -> None:
    """Show whether a tenant's mail is indexed, and how far.

    Examples:
      mailmesh search-settings get 019a9f0e-7c1e-7000-8000-000000000002
    """
    with channel(context) as opened:
        request = messages.GetSearchSettingsRequest(tenant_id=tenant)
        found = services.SearchServiceStub(opened).GetSearchSettings(request)
    _print(found, json=json)


@settings_app.command()
def enable(context: typer.Context, tenant: TenantArgument, *, json: JsonOption = False) -> None:
    """Index a tenant's mail: what is stored, then what arrives.

    Examples:
      mailmesh search-settings enable 019a9f0e-7c1e-7000-8000-000000000002
    """
    _update(context, tenant, is_enabled=True, json=json)


@settings_app.command()
def disable(context: typer.Context, tenant: TenantArgument, *, json: JsonOption = False) -> None:
    """Delete a tenant's index; the mail stays.

    Examples:
      mailmesh search-settings disable 019a9f0e-7c1e-7000-8000-000000000002
    """
    _update(context, tenant, is_enabled=False, json=json)


def _update(context: typer.Context, tenant: str, *, is_enabled: bool, json: bool) -> None:
    settings = messages.SearchSettings(is_enabled=is_enabled)
    with channel(context) as opened:
        request = messages.UpdateSearchSettingsRequest(tenant_id=tenant, settings=settings)
        found = services.SearchServiceStub(opened).UpdateSearchSettings(request)
    _print(found, json=json)


def _print(found: messages.GetSearchSettingsResponse | messages.UpdateSearchSettingsResponse, *, json: bool) -> None:
    if json:
        print_json(found)
        return
    print_record(
        [
            ("Enabled", "yes" if found.settings.is_enabled else "no"),
            ("Indexed mails", str(found.index.mails)),
            ("Waiting events", str(found.index.waiting_events)),
            ("Deleting", "yes" if found.index.is_deleting else ""),
        ]
    )
