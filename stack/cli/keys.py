"""`mailmesh keys` and `mailmesh audit`: who may use the mesh, and who did what."""

from typing import Annotated

import typer

from mailmesh.access.v1 import access_pb2
from mailmesh.vault.v1 import api_key_service_pb2 as messages
from mailmesh.vault.v1 import api_key_service_pb2_grpc as services
from mailmesh.vault.v1 import audit_service_pb2, audit_service_pb2_grpc
from stack.cli.connection import channel
from stack.cli.output import (
    JsonOption,
    LimitOption,
    YesOption,
    confirm,
    console,
    pages,
    parse_time,
    print_json,
    print_table,
    when,
    word,
)

app = typer.Typer(no_args_is_help=True, help="API keys of people and machines.")


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What people call it.")],
    *,
    role: Annotated[str, typer.Option(help="reader, operator or admin.")] = "reader",
    tenant: Annotated[list[str] | None, typer.Option(help="Limit to this tenant; repeatable. [default: all]")] = None,
    expires: Annotated[str | None, typer.Option(help="When it ends, such as 2027-01-01T00:00:00Z.")] = None,
    json: JsonOption = False,
) -> None:
    r"""Make an API key and show it this once. The key alone goes to standard output.

    \b
    Examples:
      mailmesh keys create n8n --role reader > n8n.key
      mailmesh keys create helpdesk --role operator --tenant 019a9f0e-7c1e-7000-8000-000000000002
    """
    request = messages.CreateApiKeyRequest(
        display_name=name, role=_role(role), tenant_ids=tenant or (), expires_at=parse_time(expires)
    )
    with channel(context) as opened:
        made = services.ApiKeyServiceStub(opened).CreateApiKey(request)
    if json:
        print_json(made)
    else:
        typer.echo(made.secret)
        typer.echo(f"Key {made.api_key.api_key_id} is shown this once: keep it.", err=True)


@app.command("list")
def list_keys(
    context: typer.Context,
    *,
    revoked: Annotated[bool, typer.Option("--revoked", help="Also those that have ended.")] = False,
    limit: LimitOption = 100,
    json: JsonOption = False,
) -> None:
    """List the API keys, oldest first."""
    with channel(context) as opened:
        stub = services.ApiKeyServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[list[messages.ApiKey], str]:
            answer = stub.ListApiKeys(
                messages.ListApiKeysRequest(page_size=size, page_token=token, include_revoked=revoked)
            )
            return list(answer.api_keys), answer.next_page_token

        found = list(pages(fetch, limit))
    if json:
        print_json(found)
        return
    print_table(
        ("KEY", "NAME", "BEGINS", "ROLE", "TENANTS", "LAST USED", "ENDS"),
        [
            (
                *(key.api_key_id, key.display_name, key.prefix, word(access_pb2.Role.Name(key.role), "ROLE_")),
                *(str(len(key.tenant_ids)) if key.tenant_ids else "all", when(key.last_used_at)),
                "revoked" if key.HasField("revoked_at") else when(key.expires_at),
            )
            for key in found
        ],
        "There is no key.",
    )


@app.command()
def revoke(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="The key's id.")],
    *,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """End an API key everywhere, for good."""
    confirm(f"Revoke key {key_id}?", yes=yes)
    with channel(context) as opened:
        ended = services.ApiKeyServiceStub(opened).RevokeApiKey(messages.RevokeApiKeyRequest(api_key_id=key_id))
    if json:
        print_json(ended.api_key)
    else:
        console.print(f"{ended.api_key.display_name} is revoked")


def audit(
    context: typer.Context,
    *,
    tenant: Annotated[str, typer.Option(help="Only this tenant's.")] = "",
    action: Annotated[str, typer.Option(help="Such as token.issue or tenant.connect.")] = "",
    since: Annotated[str | None, typer.Option(help="2026-11-21T12:00:00Z, or 15m, 12h, 7d before now.")] = None,
    limit: LimitOption = 50,
    json: JsonOption = False,
) -> None:
    """Show who did what, newest first."""
    start = parse_time(since)
    with channel(context) as opened:
        stub = audit_service_pb2_grpc.AuditServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[list[audit_service_pb2.AuditEntry], str]:
            request = audit_service_pb2.ListAuditEntriesRequest(
                page_size=size, page_token=token, tenant_id=tenant, action=action, occurred_from=start
            )
            answer = stub.ListAuditEntries(request)
            return list(answer.audit_entries), answer.next_page_token

        found = list(pages(fetch, limit))
    if json:
        print_json(found)
        return
    print_table(
        ("WHEN", "ACTION", "OUTCOME", "WHO", "TENANT", "DETAIL"),
        [
            (
                *(when(entry.occurred_at), entry.action, entry.outcome, entry.actor, entry.tenant_id),
                " ".join(f"{name}={value}" for name, value in sorted(entry.detail.items())),
            )
            for entry in found
        ],
        "Nothing is on record.",
    )


def _role(name: str) -> access_pb2.Role.ValueType:
    try:
        return access_pb2.Role.Value(f"ROLE_{name.upper()}")
    except ValueError:
        raise typer.BadParameter(f"{name!r} is no role: reader, operator or admin") from None
