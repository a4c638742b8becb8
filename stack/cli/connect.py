"""`mailmesh connect`: a browser connects an account, and this command waits for it."""

import time
import webbrowser
from collections.abc import Callable
from typing import Annotated

import grpc
import typer
from google.protobuf.timestamp_pb2 import Timestamp

from mailmesh.vault.v1 import audit_service_pb2, audit_service_pb2_grpc, tenant_pb2
from mailmesh.vault.v1 import tenant_service_pb2 as messages
from mailmesh.vault.v1 import tenant_service_pb2_grpc as services
from stack.cli.connection import channel
from stack.cli.exits import CommandError, Exit, code_of
from stack.cli.output import JsonOption, console, print_json

POLL_SECONDS = 0.5
CONNECTED = ("tenant.connect", "tenant.reconnect")


def connect(
    context: typer.Context,
    provider: Annotated[str, typer.Argument(help="ms365 or googlews.")],
    *,
    tenant: Annotated[str, typer.Option(help="Reconnect this tenant, with the same account.")] = "",
    login_hint: Annotated[str, typer.Option(help="Mail address to offer on the provider's page.")] = "",
    name: Annotated[str, typer.Option(help="The tenant's name. [default: the account's own]")] = "",
    browser: Annotated[bool, typer.Option(help="Open a browser here.")] = True,
    timeout: Annotated[float, typer.Option(min=1, max=600, help="Seconds to wait for the person.")] = 600.0,
    json: JsonOption = False,
) -> None:
    r"""Connect an account: open a page of the provider, wait for the person, tell the result.

    The address can be opened once, within ten minutes, in any browser that reaches the edge. It goes to standard error,
    the result to standard output.

    \b
    Examples:
      mailmesh connect ms365
      mailmesh connect googlews --login-hint ada@example.com --no-browser
      mailmesh connect ms365 --tenant 019a9f0e-7c1e-7000-8000-000000000002
    """
    request = messages.StartAuthorizationRequest(
        provider=provider, tenant_id=tenant, login_hint=login_hint, display_name=name
    )
    begun = Timestamp()
    begun.GetCurrentTime()
    with channel(context) as opened:
        stub = services.TenantServiceStub(opened)
        started = stub.StartAuthorization(request)
        typer.echo(started.authorization_url, err=True)
        if browser:
            webbrowser.open(started.authorization_url)
        with console.status("Waiting for the account"):
            connected = _wait(opened, stub, started, begun, timeout)
    if json:
        print_json(connected)
    else:
        console.print(f"[green]connected[/]: {connected.address} is tenant {connected.tenant_id}")
        console.print(f"next: mailmesh subscriptions create {connected.tenant_id}", soft_wrap=True)


def _wait(
    opened: grpc.Channel,
    stub: services.TenantServiceStub,
    started: messages.StartAuthorizationResponse,
    begun: Timestamp,
    timeout: float,
) -> tenant_pb2.Tenant:
    find, late = _by_audit(opened, stub, started.flow_id, begun), "nobody finished the connection in time"
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            found = find()
        except grpc.RpcError as fault:
            if code_of(fault) is not grpc.StatusCode.PERMISSION_DENIED:
                raise
            # The audit log, which has the reasons, is for admins: others look for an account that was connected since.
            page = _result_page(started)
            typer.echo(
                f"this key may not read the audit log; how it ends is shown in the browser, and by {page}", err=True
            )
            find, late = _by_time(stub, begun), f"no account was connected in time; {page} says how it ended"
            continue
        if found is not None:
            return found
        time.sleep(POLL_SECONDS)
    raise CommandError(late, Exit.UNAVAILABLE)


def _by_audit(
    opened: grpc.Channel, stub: services.TenantServiceStub, flow_id: str, begun: Timestamp
) -> Callable[[], tenant_pb2.Tenant | None]:
    audit = audit_service_pb2_grpc.AuditServiceStub(opened)
    request = audit_service_pb2.ListAuditEntriesRequest(page_size=200, occurred_from=begun)

    def find() -> tenant_pb2.Tenant | None:
        for entry in audit.ListAuditEntries(request).audit_entries:
            if entry.actor != f"browser:{flow_id}" or entry.action not in CONNECTED:
                continue
            if entry.outcome != "ok":
                detail = " ".join(f"{key}={value}" for key, value in sorted(entry.detail.items()))
                raise CommandError(f"{entry.outcome}: the account was not connected {detail}".strip(), Exit.REFUSED)
            return stub.GetTenant(messages.GetTenantRequest(tenant_id=entry.tenant_id)).tenant
        return None

    return find


def _by_time(stub: services.TenantServiceStub, begun: Timestamp) -> Callable[[], tenant_pb2.Tenant | None]:
    request = messages.ListTenantsRequest(page_size=1000)

    def find() -> tenant_pb2.Tenant | None:
        since = begun.ToNanoseconds()
        found = [tenant for tenant in stub.ListTenants(request).tenants if tenant.connected_at.ToNanoseconds() >= since]
        return found[0] if found else None

    return find


def _result_page(started: messages.StartAuthorizationResponse) -> str:
    """The address of the page that says how it went. It holds no secret and can be reloaded."""
    public_url, _, _ = started.authorization_url.partition("/auth/oauth/")
    return f"{public_url}/auth/oauth/result?flow_id={started.flow_id}"
