"""`mailmesh tenants erase...`: erase accounts, and persons from accounts."""

import time
from typing import Annotated

import typer

from mailmesh.vault.v1 import erasure_pb2, tenant_service_pb2, tenant_service_pb2_grpc
from stack.cli.connection import channel
from stack.cli.exits import CommandError, Exit
from stack.cli.output import JsonOption, YesOption, confirm, console, print_json, print_record, print_table, when
from stack.cli.tenants import DISCONNECT_SECONDS, POLL_SECONDS, TenantArgument, app

__all__ = ["app"]


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
