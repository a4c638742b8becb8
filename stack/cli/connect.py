"""`mailmesh connect`: connects an account in a browser and waits for the result."""

import time
import webbrowser
from typing import Annotated
from urllib.parse import urlsplit

import typer

from mailmesh.vault.v1 import tenant_pb2
from mailmesh.vault.v1 import tenant_service_pb2 as messages
from mailmesh.vault.v1 import tenant_service_pb2_grpc as services
from services.providers.abilities import ABILITIES
from stack.cli.connection import channel
from stack.cli.exits import CommandError, Exit
from stack.cli.output import JsonOption, console, print_json, show, show_aside, when

POLL_SECONDS = 0.5
AGAIN = "begin again with `mailmesh connect`"
# The advice for the person at the terminal; the page in the browser gives the same advice.
ADVICE = {
    "FLOW_STATE_INVALID": f"the sign-in took too long or the provider did not accept it: {AGAIN}",
    "CONSENT_DENIED": f"the person refused consent at the provider: {AGAIN} when they agree",
    "ADMIN_CONSENT_NEEDED": f"an administrator of the organisation has to consent first, then {AGAIN}",
    "SCOPE_NOT_GRANTED": f"a permission was not granted: {AGAIN} and leave every box ticked",
    "REFRESH_TOKEN_MISSING": f"remove the app's access at the provider, then {AGAIN}",
    "IDENTITY_UNPROVEN": f"the provider did not prove whose account it is: {AGAIN}; if it repeats, read the detail",
    "ACCOUNT_MISMATCH": f"the person chose another account than the tenant's: {AGAIN} and choose the tenant's own",
    "ABILITIES_WOULD_BE_LOST": "the account is a tenant already and has more abilities: run the command that follows",
    "MAILBOX_CONNECTED_OTHERWISE": "the organisation has connected the mailbox for the app: disconnect the tenant",
    "MAILBOX_UNAVAILABLE": "the account has no mailbox: an administrator of the organisation has to assign one",
    "TENANT_DISCONNECTED": f"the tenant is being disconnected: {AGAIN} in a few minutes",
    "INSTALLATION_MISCONFIGURED": "the provider refuses this installation's own settings: `mailmesh doctor` says which",
    "PROVIDER_UNKNOWN": "this installation has no settings for the provider",
    "PROVIDER_UNAVAILABLE": f"the provider does not answer: {AGAIN} in a few minutes",
    "PROVIDER_THROTTLED": f"the provider limits the number of requests: {AGAIN} in a few minutes",
}
# Reasons that pass without a person.
PASSING = {
    *("PROVIDER_UNAVAILABLE", "PROVIDER_THROTTLED", "STORE_UNAVAILABLE", "OVERLOADED", "DEADLINE_TOO_SHORT"),
    *("KEY_UNAVAILABLE", "SHUTTING_DOWN", "CONFLICT"),
}


def connect(
    context: typer.Context,
    provider: Annotated[str, typer.Argument(metavar="PROVIDER", help="Provider of the account: ms365 or googlews.")],
    *,
    tenant: Annotated[str, typer.Option(help="Reconnect this tenant with its own account.")] = "",
    login_hint: Annotated[str, typer.Option(help="Mail address to suggest on the provider's page.")] = "",
    name: Annotated[str, typer.Option(help="Name of the tenant. [default: the account's own name]")] = "",
    ability: Annotated[
        list[str] | None,
        typer.Option(help=f"Ability to ask for: {', '.join(ABILITIES)}; repeatable. [default: mail.read]"),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser on this machine.")] = True,
    timeout: Annotated[float, typer.Option(min=1, max=600, help="Seconds to wait for the sign-in.")] = 600.0,
    json: JsonOption = False,
) -> None:
    """Connect an account: open the provider's sign-in page, wait, and print the result.

    The provider is asked for the scopes of the abilities alone. With --tenant, the abilities are added to those that
    the tenant has; its id, its subscriptions and its events stay.

    The page's button works once, within ten minutes, in any browser that reaches the edge. It goes to standard error,
    the result to standard output. A key of role operator is enough.

    Examples:
      mailmesh connect ms365
      mailmesh connect googlews --login-hint ada@example.com --no-browser
      mailmesh connect ms365 --ability mail.read --ability mail.send
      mailmesh connect ms365 --tenant 019a9f0e-7c1e-7000-8000-000000000002 --ability mail.send
    """
    request = messages.StartAuthorizationRequest(
        provider=provider, tenant_id=tenant, login_hint=login_hint, display_name=name, abilities=ability or ()
    )
    with channel(context) as opened:
        stub = services.TenantServiceStub(opened)
        started = stub.StartAuthorization(request)
        show_aside(started.authorization_url)
        if browser:
            _open(started.authorization_url)
        with console.status("Waiting for the account"):
            connected = _wait(stub, started.flow_id, timeout)
    if json:
        print_json(connected)
    else:
        show(("connected", "green"), f": {connected.address} is tenant {connected.tenant_id}")
        show(f"abilities: {' '.join(connected.granted_abilities)}")
        _show_missing(connected)
        show(f"next: mailmesh subscriptions create {connected.tenant_id}")


def _show_missing(tenant: tenant_pb2.Tenant) -> None:
    missing = [one for one in tenant.requested_abilities if one not in tenant.granted_abilities]
    if missing:
        again = f"mailmesh connect {tenant.provider} --tenant {tenant.tenant_id}"
        show(("not granted", "yellow"), f": {' '.join(missing)}; `{again}` asks again")


def _open(address: str) -> None:
    """Opens a browser, for web addresses only: the system would hand other schemes to other programs."""
    if urlsplit(address).scheme in ("http", "https"):
        webbrowser.open(address)


def _wait(stub: services.TenantServiceStub, flow_id: str, timeout: float) -> tenant_pb2.Tenant:
    request = messages.GetAuthorizationRequest(flow_id=flow_id)
    deadline = time.monotonic() + timeout
    found = stub.GetAuthorization(request)
    while found.state == messages.AUTHORIZATION_STATE_PENDING:
        if time.monotonic() >= deadline:
            ends = when(found.expires_at)
            raise CommandError(f"the sign-in was not finished in time; the attempt ends at {ends}", Exit.UNAVAILABLE)
        time.sleep(POLL_SECONDS)
        found = stub.GetAuthorization(request)
    if found.state != messages.AUTHORIZATION_STATE_CONNECTED:
        raise _failure(found)
    return stub.GetTenant(messages.GetTenantRequest(tenant_id=found.tenant_id)).tenant


def _failure(found: messages.GetAuthorizationResponse) -> CommandError:
    """Returns the failure with its reason, the advice, and its metadata."""
    if found.reason == "FLOW_STATE_INVALID" and found.metadata.get("detail") == "expired":
        return CommandError(f"the sign-in was not finished in time; {AGAIN}", Exit.UNAVAILABLE)
    advice = ADVICE.get(found.reason, f"{AGAIN}; if it repeats, read the log of token-vault")
    facts = " ".join(f"{key}={value}" for key, value in sorted(found.metadata.items()))
    code = Exit.UNAVAILABLE if found.reason in PASSING else Exit.REFUSED
    return CommandError(f"{found.reason}: the account was not connected; {advice} ({facts})", code)
