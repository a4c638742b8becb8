"""`mailmesh connect`: a browser connects an account, and this command waits for it."""

import time
import webbrowser
from typing import Annotated

import typer
from rich.markup import escape

from mailmesh.vault.v1 import tenant_pb2
from mailmesh.vault.v1 import tenant_service_pb2 as messages
from mailmesh.vault.v1 import tenant_service_pb2_grpc as services
from stack.cli.connection import channel
from stack.cli.exits import CommandError, Exit
from stack.cli.output import JsonOption, console, print_json, when

POLL_SECONDS = 0.5
AGAIN = "begin again with `mailmesh connect`"
# What the person at the terminal can do; the browser was told the same in its own words.
ADVICE = {
    "FLOW_STATE_INVALID": f"the sign-in took too long or the provider did not take it: {AGAIN}",
    "CONSENT_DENIED": f"the person said no at the provider: {AGAIN} when they agree",
    "ADMIN_CONSENT_NEEDED": f"an administrator of the organisation has to consent first, then {AGAIN}",
    "SCOPE_NOT_GRANTED": f"a permission was not granted: {AGAIN} and leave every box ticked",
    "REFRESH_TOKEN_MISSING": f"remove the app's access at the provider, then {AGAIN}",
    "IDENTITY_UNPROVEN": f"it was not proven whose account it is: {AGAIN}; if it repeats, check the clock",
    "ACCOUNT_MISMATCH": f"the person chose another account than the tenant's: {AGAIN} and choose the tenant's own",
    "MAILBOX_UNAVAILABLE": "the account has no mailbox: the organisation's administrator gives it one",
    "TENANT_DISCONNECTED": f"the tenant is just being disconnected: {AGAIN} in a few minutes",
    "INSTALLATION_MISCONFIGURED": "the provider refuses this installation's own settings: `mailmesh doctor` says which",
    "PROVIDER_UNKNOWN": "this installation has no settings for the provider",
    "PROVIDER_UNAVAILABLE": f"the provider does not answer: {AGAIN} in a few minutes",
    "PROVIDER_THROTTLED": f"the provider asks to come later: {AGAIN} in a few minutes",
}
# These pass by themselves.
PASSING = {
    *("PROVIDER_UNAVAILABLE", "PROVIDER_THROTTLED", "STORE_UNAVAILABLE", "OVERLOADED", "DEADLINE_TOO_SHORT"),
    *("KEY_UNAVAILABLE", "SHUTTING_DOWN", "CONFLICT"),
}


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
    the result to standard output. A key of role operator suffices.

    \b
    Examples:
      mailmesh connect ms365
      mailmesh connect googlews --login-hint ada@example.com --no-browser
      mailmesh connect ms365 --tenant 019a9f0e-7c1e-7000-8000-000000000002
    """
    request = messages.StartAuthorizationRequest(
        provider=provider, tenant_id=tenant, login_hint=login_hint, display_name=name
    )
    with channel(context) as opened:
        stub = services.TenantServiceStub(opened)
        started = stub.StartAuthorization(request)
        typer.echo(started.authorization_url, err=True)
        if browser:
            webbrowser.open(started.authorization_url)
        with console.status("Waiting for the account"):
            connected = _wait(stub, started.flow_id, timeout)
    if json:
        print_json(connected)
    else:
        console.print(f"[green]connected[/]: {connected.address} is tenant {connected.tenant_id}")
        console.print(f"next: mailmesh subscriptions create {connected.tenant_id}", soft_wrap=True)


def _wait(stub: services.TenantServiceStub, flow_id: str, timeout: float) -> tenant_pb2.Tenant:
    request = messages.GetAuthorizationRequest(flow_id=flow_id)
    deadline = time.monotonic() + timeout
    found = stub.GetAuthorization(request)
    while found.state == messages.AUTHORIZATION_STATE_PENDING:
        if time.monotonic() >= deadline:
            ends = when(found.expires_at)
            raise CommandError(f"nobody finished the connection in time; the attempt ends at {ends}", Exit.UNAVAILABLE)
        time.sleep(POLL_SECONDS)
        found = stub.GetAuthorization(request)
    if found.state != messages.AUTHORIZATION_STATE_CONNECTED:
        raise _failure(found)
    return stub.GetTenant(messages.GetTenantRequest(tenant_id=found.tenant_id)).tenant


def _failure(found: messages.GetAuthorizationResponse) -> CommandError:
    """The failure in words: the reason, what to do, and what belongs to it."""
    if found.reason == "FLOW_STATE_INVALID" and found.metadata.get("detail") == "expired":
        return CommandError(f"nobody finished the connection in time; {AGAIN}", Exit.UNAVAILABLE)
    advice = ADVICE.get(found.reason, f"{AGAIN}; if it repeats, see what the log of token-vault says")
    facts = escape(" ".join(f"{key}={value}" for key, value in sorted(found.metadata.items())))
    code = Exit.UNAVAILABLE if found.reason in PASSING else Exit.REFUSED
    return CommandError(f"{found.reason}: the account was not connected; {advice} ({facts})", code)
