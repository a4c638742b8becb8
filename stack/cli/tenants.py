"""`mailmesh tenants`: the connected accounts."""

import time
from typing import Annotated

import typer

from mailmesh.vault.v1 import tenant_pb2, tenant_service_pb2, tenant_service_pb2_grpc
from stack.cli.connection import channel
from stack.cli.exits import CommandError, Exit
from stack.cli.output import (
    JsonOption,
    LimitOption,
    YesOption,
    confirm,
    console,
    enum_value,
    pages,
    print_json,
    print_record,
    print_table,
    show,
    when,
    word,
)

app = typer.Typer(no_args_is_help=True, help="Manage the connected accounts.")
TenantArgument = Annotated[str, typer.Argument(metavar="TENANT", help="Id of the tenant; `tenants list` shows it.")]
DISCONNECT_SECONDS = 180.0
POLL_SECONDS = 1.0


def status_word(tenant: tenant_pb2.Tenant) -> str:
    """Returns a tenant's status for people."""
    return word(tenant_pb2.TenantStatus.Name(tenant.status), "TENANT_STATUS_")


@app.command("list")
def list_tenants(
    context: typer.Context,
    *,
    provider: Annotated[str, typer.Option(help="List only accounts of this provider: ms365 or googlews.")] = "",
    status: Annotated[
        list[str] | None, typer.Option(help="List only accounts with this status, such as active; repeatable.")
    ] = None,
    address: Annotated[str, typer.Option(help="List only accounts with this mail address.")] = "",
    limit: LimitOption = 100,
    json: JsonOption = False,
) -> None:
    """List the connected accounts, oldest first.

    Examples:
      mailmesh tenants list
      mailmesh tenants list --status needs_reauthorization --json
    """
    statuses = [enum_value(tenant_pb2.TenantStatus, "TENANT_STATUS_", name) for name in status or ()]
    with channel(context) as opened:
        stub = tenant_service_pb2_grpc.TenantServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[list[tenant_pb2.Tenant], str]:
            request = tenant_service_pb2.ListTenantsRequest(
                page_size=size, page_token=token, provider=provider, statuses=statuses, address=address
            )
            answer = stub.ListTenants(request)
            return list(answer.tenants), answer.next_page_token

        found = list(pages(fetch, limit))
    if json:
        print_json(found)
        return
    print_table(
        ("TENANT", "PROVIDER", "ADDRESS", "STATUS", "ABILITIES", "LAST REFRESH", "NAME"),
        [
            (
                *(tenant.tenant_id, tenant.provider, tenant.address, status_word(tenant)),
                *(" ".join(tenant.granted_abilities), when(tenant.last_refreshed_at), tenant.display_name),
            )
            for tenant in found
        ],
        "No account is connected. `mailmesh connect ms365` or `mailmesh connect googlews` connects one.",
    )


# Release 0.1 had `show` only; the contract and a new user say `get`.
@app.command("show", hidden=True)
@app.command()
def get(context: typer.Context, tenant_id: TenantArgument, *, json: JsonOption = False) -> None:
    """Show one account with its status, abilities, scopes and times.

    Examples:
      mailmesh tenants get 019a9f0e-7c1e-7000-8000-000000000002
    """
    with channel(context) as opened:
        stub = tenant_service_pb2_grpc.TenantServiceStub(opened)
        _show(stub.GetTenant(tenant_service_pb2.GetTenantRequest(tenant_id=tenant_id)).tenant, json=json)


@app.command("test")
def check_connection(context: typer.Context, tenant_id: TenantArgument, *, json: JsonOption = False) -> None:
    """Ask the provider whose account this is, with a fresh token.

    The exit code is 6 when the connection does not work; the message says what to do.
    """
    with channel(context) as opened:
        stub = tenant_service_pb2_grpc.TenantServiceStub(opened)
        with console.status("Asking the provider"):
            found = stub.TestConnection(tenant_service_pb2.TestConnectionRequest(tenant_id=tenant_id))
    if json:
        print_json(found)
    elif found.is_healthy:
        show(("healthy", "green"), f": {found.provider_address}, {found.latency_milliseconds} ms")
        for missing in found.missing_abilities:
            show(("not granted", "yellow"), f": {missing.ability} lacks {' '.join(missing.missing_scopes)}")
    if not found.is_healthy:
        raise CommandError(f"{found.reason}: {found.detail} {' '.join(found.missing_scopes)}".strip(), Exit.REFUSED)


@app.command()
def rename(
    context: typer.Context,
    tenant_id: TenantArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="New name, 1 to 200 characters.")],
    *,
    json: JsonOption = False,
) -> None:
    """Give an account another name."""
    request = tenant_service_pb2.UpdateTenantRequest(tenant_id=tenant_id, display_name=name)
    with channel(context) as opened:
        _show(tenant_service_pb2_grpc.TenantServiceStub(opened).UpdateTenant(request).tenant, json=json)


@app.command("connect-shared")
def connect_shared(
    context: typer.Context,
    tenant_id: TenantArgument,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Address of the shared mailbox.")],
    *,
    name: Annotated[str, typer.Option(help="Name of the tenant. [default: the mailbox's own name]")] = "",
    ability: Annotated[
        list[str] | None, typer.Option(help="Ability of the tenant; repeatable. [default: mail.read]")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Try a mailbox that the tenant's person may open, and make it a tenant of its own. Only Microsoft 365.

    The mailbox is polled, and ends with the tenant whose grant opens it.

    Examples:
      mailmesh tenants connect-shared 019a9f0e-7c1e-7000-8000-000000000002 info@example.com --ability mail.read
    """
    request = tenant_service_pb2.ConnectSharedMailboxRequest(
        tenant_id=tenant_id, address=address, display_name=name, abilities=ability or ()
    )
    with channel(context) as opened:
        _show(tenant_service_pb2_grpc.TenantServiceStub(opened).ConnectSharedMailbox(request).tenant, json=json)


@app.command()
def disable(
    context: typer.Context,
    tenant_id: TenantArgument,
    *,
    note: Annotated[str, typer.Option(help="Note for the audit log, at most 500 characters.")] = "",
    json: JsonOption = False,
) -> None:
    """Switch an account off: the mesh lends no token and drops its pushes."""
    request = tenant_service_pb2.DisableTenantRequest(tenant_id=tenant_id, note=note)
    with channel(context) as opened:
        _show(tenant_service_pb2_grpc.TenantServiceStub(opened).DisableTenant(request).tenant, json=json)


@app.command()
def enable(context: typer.Context, tenant_id: TenantArgument, *, json: JsonOption = False) -> None:
    """Switch an account on again; reconciliation finds the mail of the time between."""
    request = tenant_service_pb2.EnableTenantRequest(tenant_id=tenant_id)
    with channel(context) as opened:
        _show(tenant_service_pb2_grpc.TenantServiceStub(opened).EnableTenant(request).tenant, json=json)


@app.command()
def disconnect(
    context: typer.Context,
    tenant_id: TenantArgument,
    *,
    yes: YesOption = False,
    wait: Annotated[bool, typer.Option(help="Wait until the account is disconnected.")] = True,
    json: JsonOption = False,
) -> None:
    """Delete an account's subscriptions, revoke its grant and destroy its credentials for good."""
    confirm(f"Disconnect {tenant_id} and destroy its credentials?", yes=yes)
    request = tenant_service_pb2.DisconnectTenantRequest(tenant_id=tenant_id)
    with channel(context) as opened:
        stub = tenant_service_pb2_grpc.TenantServiceStub(opened)
        tenant = stub.DisconnectTenant(request).tenant
        if wait:
            with console.status("Disconnecting"):
                tenant = _until_disconnected(stub, tenant)
    _show(tenant, json=json)


def _until_disconnected(
    stub: tenant_service_pb2_grpc.TenantServiceStub, tenant: tenant_pb2.Tenant
) -> tenant_pb2.Tenant:
    deadline = time.monotonic() + DISCONNECT_SECONDS
    while tenant.status != tenant_pb2.TENANT_STATUS_DISCONNECTED:
        if time.monotonic() > deadline:
            raise CommandError("the tenant is still disconnecting; the mesh continues by itself", Exit.UNAVAILABLE)
        time.sleep(POLL_SECONDS)
        tenant = stub.GetTenant(tenant_service_pb2.GetTenantRequest(tenant_id=tenant.tenant_id)).tenant
    return tenant


def _show(tenant: tenant_pb2.Tenant, *, json: bool) -> None:
    if json:
        print_json(tenant)
        return
    print_record(
        (
            ("tenant", tenant.tenant_id),
            ("provider", tenant.provider),
            ("address", tenant.address),
            ("name", tenant.display_name),
            ("status", f"{status_word(tenant)} {tenant.status_reason}".strip()),
            ("what to do", tenant.status_detail),
            ("organisation", tenant.external_tenant_id),
            ("user", tenant.user_id),
            ("connected", when(tenant.connected_at)),
            ("last refresh", when(tenant.last_refreshed_at)),
            ("next refresh", when(tenant.next_refresh_at)),
            ("refresh failure", tenant.last_refresh_error),
            ("abilities", " ".join(tenant.granted_abilities)),
            ("not granted", " ".join(sorted({*tenant.requested_abilities} - {*tenant.granted_abilities}))),
            ("scopes", " ".join(tenant.granted_scopes)),
        )
    )
