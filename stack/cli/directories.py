"""`mailmesh directories`: organisations that admit the app, and their mailboxes."""

from typing import Annotated

import typer

from mailmesh.vault.v1 import directory_service_pb2 as messages
from mailmesh.vault.v1 import directory_service_pb2_grpc as services
from stack.cli.connection import channel
from stack.cli.output import JsonOption, LimitOption, pages, print_json, print_table, show, show_aside, when

app = typer.Typer(no_args_is_help=True, help="Connect mailboxes of whole organisations, by their administrators.")
DirectoryArgument = Annotated[
    str,
    typer.Argument(
        metavar="DIRECTORY", help="Id of the organisation: directory (tenant) id at Microsoft, customer id at Google."
    ),
]
AllowOption = Annotated[
    list[str] | None, typer.Option(help="Address of a mailbox that may be connected; repeatable. [default: none]")
]
AllOption = Annotated[bool, typer.Option("--allow-all", help="Allow every mailbox of the organisation.")]


@app.command()
def consent(
    context: typer.Context,
    directory_id: DirectoryArgument,
    *,
    allow: AllowOption = None,
    allow_all: AllOption = False,
    json: JsonOption = False,
) -> None:
    """Make the address at which an administrator of an organisation at Microsoft consents.

    The address works once, within ten minutes. `directories list` shows the organisation afterwards.

    Examples:
      mailmesh directories consent 019a9f0e-7c1e-4000-8000-000000000001 --allow sales@example.com
    """
    request = messages.StartConsentRequest(
        directory_id=directory_id, allowed_addresses=allow or (), allows_all=allow_all
    )
    with channel(context) as opened:
        started = services.DirectoryServiceStub(opened).StartConsent(request)
    if json:
        print_json(started)
    else:
        show(started.authorization_url)
        show_aside("Give this address to an administrator of the organisation, by a private way.")


@app.command()
def add(
    context: typer.Context,
    administrator: Annotated[
        str, typer.Argument(metavar="ADMINISTRATOR", help="Address of an administrator who may read users.")
    ],
    *,
    allow: AllowOption = None,
    allow_all: AllOption = False,
    json: JsonOption = False,
) -> None:
    """Add an organisation of Google Workspace that has granted the app's service account domain-wide delegation.

    The delegation is tried at once. `app-credentials list` shows the client id that its administrator enters in the
    Admin console, and the documentation the scopes.

    Examples:
      mailmesh directories add admin@example.com --allow sales@example.com
    """
    request = messages.CreateDirectoryRequest(
        administrator=administrator, allowed_addresses=allow or (), allows_all=allow_all
    )
    with channel(context) as opened:
        added = services.DirectoryServiceStub(opened).CreateDirectory(request).directory
    if json:
        print_json(added)
        return
    show(("added", "green"), f": {added.directory_id}, allowed: {_allowed(added)}")
    show(f"next: mailmesh directories mailboxes {added.directory_id}")


@app.command("list")
def list_directories(context: typer.Context, *, limit: LimitOption = 100, json: JsonOption = False) -> None:
    """List the organisations that admit the app."""
    with channel(context) as opened:
        stub = services.DirectoryServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[list[messages.Directory], str]:
            answer = stub.ListDirectories(messages.ListDirectoriesRequest(page_size=size, page_token=token))
            return list(answer.directories), answer.next_page_token

        found = list(pages(fetch, limit))
    if json:
        print_json(found)
        return
    rows = [(one.directory_id, _allowed(one), " ".join(one.roles), when(one.consented_at)) for one in found]
    print_table(("DIRECTORY", "ALLOWED", "PERMISSIONS", "CONSENTED"), rows, "No organisation admits the app.")


@app.command()
def allow(
    context: typer.Context,
    directory_id: DirectoryArgument,
    addresses: Annotated[
        list[str] | None, typer.Argument(metavar="ADDRESS...", help="Addresses that may be connected. [default: none]")
    ] = None,
    *,
    allow_all: AllOption = False,
    json: JsonOption = False,
) -> None:
    """Replace the allow-list of an organisation. Tenants stay connected.

    Examples:
      mailmesh directories allow 019a9f0e-7c1e-4000-8000-000000000001 sales@example.com help@example.com
    """
    request = messages.SetAllowedMailboxesRequest(
        directory_id=directory_id, allowed_addresses=addresses or (), allows_all=allow_all
    )
    with channel(context) as opened:
        changed = services.DirectoryServiceStub(opened).SetAllowedMailboxes(request).directory
    if json:
        print_json(changed)
    else:
        show(f"allowed in {changed.directory_id}: {_allowed(changed)}")


@app.command()
def mailboxes(
    context: typer.Context, directory_id: DirectoryArgument, *, limit: LimitOption = 100, json: JsonOption = False
) -> None:
    """List the mailboxes of an organisation that may be connected."""
    with channel(context) as opened:
        stub = services.DirectoryServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[list[messages.Mailbox], str]:
            answer = stub.ListMailboxes(
                messages.ListMailboxesRequest(directory_id=directory_id, page_size=size, page_token=token)
            )
            return list(answer.mailboxes), answer.next_page_token

        found = list(pages(fetch, limit))
    if json:
        print_json(found)
        return
    rows = [(one.mailbox_id, one.address, one.display_name, "yes" if one.is_enabled else "no") for one in found]
    print_table(("MAILBOX", "ADDRESS", "NAME", "ENABLED"), rows, "The allow-list contains no mailbox.")


@app.command("connect")
def connect_mailbox(
    context: typer.Context,
    directory_id: DirectoryArgument,
    mailbox_id: Annotated[str, typer.Argument(metavar="MAILBOX", help="Id of the mailbox; `mailboxes` shows it.")],
    *,
    name: Annotated[str, typer.Option(help="Name of the tenant. [default: the account's own name]")] = "",
    ability: Annotated[
        list[str] | None, typer.Option(help="Ability of the tenant; repeatable. [default: mail.read]")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Try a mailbox with the app's own access, and make it a tenant.

    Examples:
      mailmesh directories connect 019a9f0e-7c1e-4000-8000-000000000001 019a9f0e-7c1e-4000-8000-000000000002
    """
    request = messages.ConnectMailboxRequest(
        directory_id=directory_id, mailbox_id=mailbox_id, display_name=name, abilities=ability or ()
    )
    with channel(context) as opened:
        tenant = services.DirectoryServiceStub(opened).ConnectMailbox(request).tenant
    if json:
        print_json(tenant)
    else:
        show(("connected", "green"), f": {tenant.address} is tenant {tenant.tenant_id}")
        show(f"abilities: {' '.join(tenant.granted_abilities)}")
        show(f"next: mailmesh subscriptions create {tenant.tenant_id}")


def _allowed(one: messages.Directory) -> str:
    return "all" if one.allows_all else " ".join(one.allowed_addresses) or "none"
