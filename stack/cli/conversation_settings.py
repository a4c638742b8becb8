"""`mailmesh conversations enable` and `disable`: whether a tenant's mail is put into conversations, and how."""

from typing import Annotated

import typer

from mailmesh.conversation.v1 import conversation_pb2
from mailmesh.conversation.v1 import conversation_service_pb2 as messages
from mailmesh.conversation.v1 import conversation_service_pb2_grpc as services
from stack.cli.connection import channel
from stack.cli.conversations import TenantArgument
from stack.cli.output import JsonOption, print_json, print_record


def enable(
    context: typer.Context,
    tenant: TenantArgument,
    *,
    address: Annotated[list[str], typer.Option("--address", help="Address of the mailbox; repeatable.")],
    domain: Annotated[
        list[str] | None, typer.Option("--domain", help="Domain whose addresses are those of agents; repeatable.")
    ] = None,
    carrier: Annotated[
        list[str] | None,
        typer.Option("--carrier", help="Address of a form or robot that writes for customers; repeatable."),
    ] = None,
    reopen_days: Annotated[
        int, typer.Option(min=0, max=365, help="Days in which a reply reopens a solved conversation; 0 means 14.")
    ] = 0,
    accept_unproven: Annotated[
        bool, typer.Option("--accept-unproven", help="Let senders join whom the provider neither proves nor refutes.")
    ] = False,
    reopenings: Annotated[
        int, typer.Option(min=0, max=100, help="Largest number of reopenings of a conversation in an hour; 0 means 3.")
    ] = 0,
    automatic: Annotated[
        int, typer.Option(min=0, max=100, help="Largest number of messages of programs in an hour; 0 means 5.")
    ] = 0,
    retention_days: Annotated[
        int, typer.Option(min=0, max=3650, help="Days after the last message; 0 keeps conversations.")
    ] = 0,
    quarantine_days: Annotated[
        int, typer.Option(min=0, max=3650, help="The same for quarantined ones; 0 means --retention-days.")
    ] = 0,
    json: JsonOption = False,
) -> None:
    """Put a tenant's mail into conversations from now on, with these settings.

    Examples:
      mailmesh conversations enable 019a9f0e-7c1e-7000-8000-000000000002 --address support@example.com
    """
    settings = conversation_pb2.ConversationSettings(
        is_enabled=True,
        own_addresses=address,
        own_domains=domain or (),
        carriers=carrier or (),
        reopen_days=reopen_days,
        accepts_unproven=accept_unproven,
        reopenings_an_hour=reopenings,
        automatic_an_hour=automatic,
        retention_days=retention_days,
        quarantine_retention_days=quarantine_days,
    )
    _update(context, tenant, settings, json=json)


def disable(context: typer.Context, tenant: TenantArgument, *, json: JsonOption = False) -> None:
    """Put no further mail of a tenant into conversations; those that exist stay.

    Examples:
      mailmesh conversations disable 019a9f0e-7c1e-7000-8000-000000000002
    """
    with channel(context) as opened:
        request = messages.GetConversationSettingsRequest(tenant_id=tenant)
        settings = services.ConversationServiceStub(opened).GetConversationSettings(request).settings
    settings.is_enabled = False
    _update(context, tenant, settings, json=json)


def _update(
    context: typer.Context, tenant: str, settings: conversation_pb2.ConversationSettings, *, json: bool
) -> None:
    with channel(context) as opened:
        request = messages.UpdateConversationSettingsRequest(tenant_id=tenant, settings=settings)
        stored = services.ConversationServiceStub(opened).UpdateConversationSettings(request).settings
    if json:
        print_json(stored)
        return
    print_record(
        [
            ("Enabled", "yes" if stored.is_enabled else "no"),
            ("Own addresses", ", ".join(stored.own_addresses)),
            ("Own domains", ", ".join(stored.own_domains)),
            ("Carriers", ", ".join(stored.carriers)),
        ]
    )
