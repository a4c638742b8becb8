"""`mailmesh tenants`: the connected accounts."""

import time
from typing import Annotated

import typer

from mailmesh.vault.v1 import erasure_pb2, tenant_pb2, tenant_service_pb2, tenant_service_pb2_grpc
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


@app.command()
def erase(
    context: typer.Context,
    tenant_id: TenantArgument,
    *,
    yes: YesOption = False,
    wait: Annotated[bool, typer.Option(help="Wait until the account is erased.")] = True,
    json: JsonOption = False,
) -> None:
    """Disconnect an account and remove everything that the mesh has stored about it, for good.

    The result is a report of the removed rows, signed by TokenVault; --json has the report, its signature and the
    certificate. Backups hold the account until they are deleted.

    Examples:
      mailmesh tenants erase 019a9f0e-7c1e-7000-8000-00000000000a --yes --json > report.json
    """
    confirm(f"Erase everything about {tenant_id} for good?", yes=yes)
    with channel(context) as opened:
        stub = tenant_service_pb2_grpc.TenantServiceStub(opened)
        found = stub.EraseTenant(tenant_service_pb2.EraseTenantRequest(tenant_id=tenant_id)).erasure
        if wait:
            with console.status("Erasing"):
                found = _until_erased(stub, found)
    _show_erasure(found, json=json)


@app.command()
def erasure(context: typer.Context, tenant_id: TenantArgument, *, json: JsonOption = False) -> None:
    """Show the progress of an erasure, and its signed report once it is complete."""
    with channel(context) as opened:
        stub = tenant_service_pb2_grpc.TenantServiceStub(opened)
        found = stub.GetErasure(tenant_service_pb2.GetErasureRequest(tenant_id=tenant_id)).erasure
    _show_erasure(found, json=json)


@app.command()
def erase_person(
    context: typer.Context,
    tenant_id: TenantArgument,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Mail address of the person.")],
    *,
    yes: YesOption = False,
    wait: Annotated[bool, typer.Option(help="Wait until the person is erased.")] = True,
    json: JsonOption = False,
) -> None:
    """Remove one person's address from what the mesh has stored about an account, for good.

    Events that name the address lose their content; other rows lose the address. Mail that arrives later is new data,
    and stays. The account's own mailbox at the provider, receivers and backups are outside of it. --json has the
    signed report, and the key that shows later whose address was erased: nothing else has this key afterwards.

    Examples:
      mailmesh tenants erase-person 019a9f0e-7c1e-7000-8000-00000000000a ann@example.com --yes --json > report.json
    """
    confirm(f"Erase {address} from {tenant_id} for good?", yes=yes)
    request = tenant_service_pb2.ErasePersonRequest(tenant_id=tenant_id, address=address)
    with channel(context) as opened:
        stub = tenant_service_pb2_grpc.TenantServiceStub(opened)
        found = stub.ErasePerson(request).erasure
        if wait:
            found = _until_person_erased(stub, found)
    _show_person_erasure(found, json=json)


@app.command()
def person_erasure(
    context: typer.Context,
    tenant_id: TenantArgument,
    erasure_id: Annotated[str, typer.Argument(metavar="ERASURE", help="Id of the erasure; `erase-person` shows it.")],
    *,
    json: JsonOption = False,
) -> None:
    """Show the progress of a person's erasure, and its signed report once it is complete."""
    request = tenant_service_pb2.GetPersonErasureRequest(tenant_id=tenant_id, erasure_id=erasure_id)
    with channel(context) as opened:
        found = tenant_service_pb2_grpc.TenantServiceStub(opened).GetPersonErasure(request).erasure
    _show_person_erasure(found, json=json)


@app.command()
def cancel_person_erasure(
    context: typer.Context,
    tenant_id: TenantArgument,
    erasure_id: Annotated[str, typer.Argument(metavar="ERASURE", help="Id of the erasure; `erase-person` shows it.")],
    *,
    json: JsonOption = False,
) -> None:
    """Stop a person's erasure. Rows that are erased by then stay erased; the answer counts them."""
    request = tenant_service_pb2.CancelPersonErasureRequest(tenant_id=tenant_id, erasure_id=erasure_id)
    with channel(context) as opened:
        found = tenant_service_pb2_grpc.TenantServiceStub(opened).CancelPersonErasure(request).erasure
    _show_person_erasure(found, json=json)


def _until_person_erased(
    stub: tenant_service_pb2_grpc.TenantServiceStub, found: erasure_pb2.PersonErasure
) -> erasure_pb2.PersonErasure:
    request = tenant_service_pb2.GetPersonErasureRequest(tenant_id=found.tenant_id, erasure_id=found.erasure_id)
    key, checked, moved_at = found.digest_key, -1, time.monotonic()
    with console.status("Erasing") as status:
        while found.state == erasure_pb2.ERASURE_STATE_ERASING:
            if (rows := sum(one.rows_checked for one in found.progress)) != checked:
                checked, moved_at = rows, time.monotonic()
            if time.monotonic() > moved_at + DISCONNECT_SECONDS:
                wait = f"erasure {found.erasure_id} still runs; the mesh continues by itself"
                raise CommandError(wait, Exit.UNAVAILABLE)
            time.sleep(POLL_SECONDS)
            found = stub.GetPersonErasure(request).erasure
            now = ", ".join(f"{one.service} {one.table}" for one in found.progress if one.table)
            status.update(f"Erasing; {checked} rows checked {now}")
    found.digest_key = key
    return found


def _show_person_erasure(found: erasure_pb2.PersonErasure, *, json: bool) -> None:
    if json:
        print_json(found)
        return
    state = erasure_pb2.ErasureState.Name(found.state).removeprefix("ERASURE_STATE_").lower()
    print_record(
        (
            ("erasure", found.erasure_id),
            ("tenant", found.tenant_id),
            ("state", state),
            ("requested", when(found.requested_at)),
            ("finished", when(found.finished_at)),
            ("backups forget", when(found.backups_forget_at)),
            ("key of the digest", found.digest_key),
        )
    )
    progress = [
        (one.service, when(one.cut_off_at), str(one.rows_checked), "done" if one.is_done else one.table)
        for one in found.progress
    ]
    print_table(("service", "cut-off", "rows checked", "table"), progress, "no service has begun so far")
    rows = [(one.service, one.table, str(one.rows)) for one in found.tables]
    print_table(("service", "table", "rows"), rows, "no row is changed so far")


def _until_erased(stub: tenant_service_pb2_grpc.TenantServiceStub, found: erasure_pb2.Erasure) -> erasure_pb2.Erasure:
    deadline = time.monotonic() + DISCONNECT_SECONDS
    while found.state != erasure_pb2.ERASURE_STATE_ERASED:
        if time.monotonic() > deadline:
            raise CommandError("the tenant is still being erased; the mesh continues by itself", Exit.UNAVAILABLE)
        time.sleep(POLL_SECONDS)
        found = stub.GetErasure(tenant_service_pb2.GetErasureRequest(tenant_id=found.tenant_id)).erasure
    return found


def _show_erasure(found: erasure_pb2.Erasure, *, json: bool) -> None:
    if json:
        print_json(found)
        return
    state = erasure_pb2.ErasureState.Name(found.state).removeprefix("ERASURE_STATE_").lower()
    print_record(
        (
            ("tenant", found.tenant_id),
            ("state", state),
            ("requested", when(found.requested_at)),
            ("finished", when(found.finished_at)),
            ("backups forget", when(found.backups_forget_at)),
        )
    )
    rows = [(one.service, one.table, str(one.rows)) for one in found.tables]
    print_table(("service", "table", "rows"), rows, "no rows are removed so far")


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
