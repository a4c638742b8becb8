"""`mailmesh keys` and `mailmesh audit`: the API keys, and the audit log."""

from typing import Annotated

import typer

from mailmesh.access.v1 import access_pb2
from mailmesh.vault.v1 import api_key_service_pb2 as messages
from mailmesh.vault.v1 import api_key_service_pb2_grpc as services
from mailmesh.vault.v1 import audit_service_pb2, audit_service_pb2_grpc
from stack.cli.connection import channel
from stack.cli.output import (
    TIME_FORMS,
    JsonOption,
    LimitOption,
    YesOption,
    confirm,
    enum_value,
    pages,
    parse_time,
    print_json,
    print_table,
    show,
    show_aside,
    when,
    word,
)

app = typer.Typer(no_args_is_help=True, help="Manage the API keys of people and machines.")


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the key for people.")],
    *,
    role: Annotated[str, typer.Option(help="Role of the key: reader, operator or admin.")] = "reader",
    tenant: Annotated[
        list[str] | None, typer.Option(help="Limit the key to this tenant; repeatable. [default: all]")
    ] = None,
    ability: Annotated[
        list[str] | None,
        typer.Option(help="Limit the key to this ability; repeatable. [default: mail.read; for role admin all]"),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Time when the key ends, such as 2027-01-01T00:00:00Z. [default: never]"),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make an API key and show it once.

    Standard output gets the key alone, so that it can go to a file.

    Examples:
      mailmesh keys create n8n --role reader > n8n.key
      mailmesh keys create helpdesk --role operator --tenant 019a9f0e-7c1e-7000-8000-000000000002
      mailmesh keys create replies --role operator --ability mail.read --ability mail.send
    """
    request = messages.CreateApiKeyRequest(
        display_name=name,
        role=enum_value(access_pb2.Role, "ROLE_", role),
        tenant_ids=tenant or (),
        expires_at=parse_time(expires),
        abilities=ability or (),
    )
    with channel(context) as opened:
        made = services.ApiKeyServiceStub(opened).CreateApiKey(request)
    if json:
        print_json(made)
    else:
        show(made.secret)
        show_aside(f"Key {made.api_key.api_key_id} is shown this once: keep it.")


@app.command("list")
def list_keys(
    context: typer.Context,
    *,
    revoked: Annotated[bool, typer.Option("--revoked", help="Also list keys that were revoked or have ended.")] = False,
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
        ("KEY", "NAME", "BEGINS", "ROLE", "TENANTS", "ABILITIES", "LAST USED", "ENDS"),
        [
            (
                *(key.api_key_id, key.display_name, key.prefix, word(access_pb2.Role.Name(key.role), "ROLE_")),
                str(len(key.tenant_ids)) if key.tenant_ids else "all",
                "all" if list(key.abilities) == ["*"] else " ".join(key.abilities),
                when(key.last_used_at),
                "revoked" if key.HasField("revoked_at") else when(key.expires_at),
            )
            for key in found
        ],
        "There are no keys.",
    )


@app.command()
def revoke(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="Id of the key; `keys list` shows it.")],
    *,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Revoke an API key everywhere, for good."""
    confirm(f"Revoke key {key_id}?", yes=yes)
    with channel(context) as opened:
        ended = services.ApiKeyServiceStub(opened).RevokeApiKey(messages.RevokeApiKeyRequest(api_key_id=key_id))
    if json:
        print_json(ended.api_key)
    else:
        show(f"key {ended.api_key.api_key_id} ({ended.api_key.display_name}) is revoked")


def audit(
    context: typer.Context,
    *,
    tenant: Annotated[str, typer.Option(help="Show only entries of this tenant.")] = "",
    action: Annotated[str, typer.Option(help="Show only this action, such as token.issue or tenant.connect.")] = "",
    since: Annotated[str | None, typer.Option(metavar="TIME", help=f"Show entries at or after: {TIME_FORMS}.")] = None,
    before: Annotated[str | None, typer.Option(metavar="TIME", help=f"Show entries before: {TIME_FORMS}.")] = None,
    limit: LimitOption = 50,
    json: JsonOption = False,
) -> None:
    """Show the audit log: each action with its actor, newest first.

    Examples:
      mailmesh audit --since 7d
      mailmesh audit --action tenant.connect --json
    """
    start, end = parse_time(since), parse_time(before)
    with channel(context) as opened:
        stub = audit_service_pb2_grpc.AuditServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[list[audit_service_pb2.AuditEntry], str]:
            request = audit_service_pb2.ListAuditEntriesRequest(
                page_size=size,
                page_token=token,
                tenant_id=tenant,
                action=action,
                occurred_from=start,
                occurred_before=end,
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
        "The audit log has no such entry.",
    )
