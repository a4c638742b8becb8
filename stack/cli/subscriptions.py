"""`mailmesh subscriptions`: the changes that the providers push."""

from typing import Annotated

import typer

from mailmesh.ingest.v1 import subscription_service_pb2 as messages
from mailmesh.ingest.v1 import subscription_service_pb2_grpc as services
from stack.cli.connection import LONG_CALL_SECONDS, channel
from stack.cli.exits import CommandError
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
    when,
    word,
)

app = typer.Typer(no_args_is_help=True, help="Manage the changes that the providers push.")
STATE = "SUBSCRIPTION_STATE_"
RESOURCE = "SUBSCRIPTION_RESOURCE_"
_HEALTH = ("total", "active", "expiring", "expired", "silent", "failing", "polled")
FolderOption = Annotated[str, typer.Option(help="Microsoft: id or well-known name of a folder. [default: inbox]")]
LabelOption = Annotated[list[str] | None, typer.Option(help="Google: a label; repeatable. [default: INBOX]")]
AllMailOption = Annotated[bool, typer.Option(help="Subscribe to every folder or label.")]
ChangeTypeOption = Annotated[
    list[str] | None, typer.Option(help="Type of change: created, updated or deleted; repeatable. [default: all three]")
]
PollOption = Annotated[bool, typer.Option(help="Compare the mailbox on a schedule; ask the provider for no pushes.")]
ResourceDataOption = Annotated[
    bool, typer.Option(help="Microsoft: ask for signed notifications with encrypted resource data.")
]
SubscriptionArgument = Annotated[
    str, typer.Argument(metavar="SUBSCRIPTION", help="Id of the subscription; `subscriptions list` shows it.")
]


@app.command()
def create(
    context: typer.Context,
    tenant_id: Annotated[str, typer.Argument(metavar="TENANT", help="Id of the tenant; `tenants list` shows it.")],
    *,
    folder: FolderOption = "",
    label: LabelOption = None,
    all_mail: AllMailOption = False,
    change_type: ChangeTypeOption = None,
    poll: PollOption = False,
    resource_data: ResourceDataOption = False,
    json: JsonOption = False,
) -> None:
    """Subscribe to the changes of a mailbox, or of a folder or labels in it.

    Examples:
      mailmesh subscriptions create 019a9f0e-7c1e-7000-8000-000000000002
      mailmesh subscriptions create 019a9f0e-7c1e-7000-8000-000000000002 --folder archive --change-type created
      mailmesh subscriptions create 019a9f0e-7c1e-7000-8000-000000000002 --label INBOX --label Label_7
    """
    request = _request(tenant_id, folder, label, change_type, all_mail=all_mail, poll=poll, resource_data=resource_data)
    with channel(context) as opened, console.status("Asking the provider"):
        stub = services.SubscriptionServiceStub(opened)
        made = stub.CreateSubscription(request, timeout=LONG_CALL_SECONDS).subscription
    _show(made, json=json)


@app.command("batch-create")
def batch_create(
    context: typer.Context,
    tenant_ids: Annotated[list[str], typer.Argument(metavar="TENANT...", help="Ids of the tenants, 1000 at most.")],
    *,
    folder: FolderOption = "",
    label: LabelOption = None,
    all_mail: AllMailOption = False,
    change_type: ChangeTypeOption = None,
    poll: PollOption = False,
    resource_data: ResourceDataOption = False,
    json: JsonOption = False,
) -> None:
    """Subscribe to the same changes of many mailboxes in one call.

    Each tenant has a result of its own. The exit code is 1 when one of them failed.

    Examples:
      mailmesh subscriptions batch-create 019a9f0e-7c1e-7000-8000-000000000002 019a9f0e-7c1e-7000-8000-000000000003
    """
    requests = [
        _request(one, folder, label, change_type, all_mail=all_mail, poll=poll, resource_data=resource_data)
        for one in tenant_ids
    ]
    request = messages.BatchCreateSubscriptionsRequest(requests=requests)
    with channel(context) as opened, console.status("Asking the providers"):
        stub = services.SubscriptionServiceStub(opened)
        results = stub.BatchCreateSubscriptions(request, timeout=LONG_CALL_SECONDS).results
    if json:
        print_json(list(results))
    else:
        print_table(
            ("TENANT", "SUBSCRIPTION", "STATE", "FAILURE"),
            [_result_row(tenant_id, result) for tenant_id, result in zip(tenant_ids, results, strict=True)],
            "The mesh answered with no results.",
        )
    failed = sum(result.HasField("error") for result in results)
    if failed:
        raise CommandError(f"{failed} of {len(results)} subscriptions were not made")


def _result_row(tenant_id: str, result: messages.SubscriptionResult) -> tuple[str, ...]:
    if result.HasField("error"):
        return (tenant_id, "", "", result.error.message)
    return (tenant_id, result.subscription.subscription_id, _state(result.subscription), "")


def _request(
    tenant_id: str,
    folder: str,
    label: list[str] | None,
    change_type: list[str] | None,
    *,
    all_mail: bool,
    poll: bool,
    resource_data: bool,
) -> messages.CreateSubscriptionRequest:
    return messages.CreateSubscriptionRequest(
        tenant_id=tenant_id,
        folder_id=folder,
        label_ids=label or (),
        all_mail=all_mail,
        change_types=change_type or (),
        delivery_mode=messages.DELIVERY_MODE_POLL if poll else messages.DELIVERY_MODE_UNSPECIFIED,
        includes_resource_data=resource_data,
    )


@app.command("list")
def list_subscriptions(
    context: typer.Context,
    *,
    tenant: Annotated[str, typer.Option(help="List only subscriptions of this tenant.")] = "",
    state: Annotated[
        list[str] | None,
        typer.Option(
            help="List only subscriptions in this state, such as active; repeatable. [default: all but deleted]"
        ),
    ] = None,
    limit: LimitOption = 100,
    json: JsonOption = False,
) -> None:
    """List the subscriptions, oldest first.

    Examples:
      mailmesh subscriptions list --state failing
    """
    states = [enum_value(messages.SubscriptionState, STATE, name) for name in state or ()]
    with channel(context) as opened:
        stub = services.SubscriptionServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[list[messages.Subscription], str]:
            request = messages.ListSubscriptionsRequest(
                page_size=size, page_token=token, tenant_id=tenant, states=states
            )
            answer = stub.ListSubscriptions(request)
            return list(answer.subscriptions), answer.next_page_token

        found = list(pages(fetch, limit))
    if json:
        print_json(found)
        return
    print_table(
        ("SUBSCRIPTION", "TENANT", "PROVIDER", "WATCHES", "STATE", "EXPIRES", "LAST PUSH", "FAILURE"),
        [
            (
                *(item.subscription_id, item.tenant_id, item.provider, _watches(item), _state(item)),
                *(when(item.expires_at), when(item.last_notification_at), item.failure_reason),
            )
            for item in found
        ],
        "There are no subscriptions. `mailmesh subscriptions create TENANT` makes one.",
    )


@app.command()
def health(
    context: typer.Context,
    *,
    tenant: Annotated[str, typer.Option(help="Count only subscriptions of this tenant.")] = "",
    json: JsonOption = False,
) -> None:
    """Count the subscriptions by provider and resource: active, expiring, expired, silent, failing, polled."""
    request = messages.GetSubscriptionHealthRequest(tenant_id=tenant)
    with channel(context) as opened:
        found = list(services.SubscriptionServiceStub(opened).GetSubscriptionHealth(request).counts)
    if json:
        print_json(found)
        return
    print_table(
        ("PROVIDER", "RESOURCE", *(name.upper() for name in _HEALTH)),
        [(one.provider, _resource(one.resource), *(str(getattr(one, name)) for name in _HEALTH)) for one in found],
        "There are no subscriptions. `mailmesh subscriptions create TENANT` makes one.",
    )


@app.command("show", hidden=True)
@app.command()
def get(context: typer.Context, subscription_id: SubscriptionArgument, *, json: JsonOption = False) -> None:
    """Show one subscription with its state and times."""
    request = messages.GetSubscriptionRequest(subscription_id=subscription_id)
    with channel(context) as opened:
        _show(services.SubscriptionServiceStub(opened).GetSubscription(request).subscription, json=json)


@app.command()
def renew(context: typer.Context, subscription_id: SubscriptionArgument, *, json: JsonOption = False) -> None:
    """Renew a subscription now. One that the provider dropped is made again."""
    request = messages.RenewSubscriptionRequest(subscription_id=subscription_id)
    with channel(context) as opened, console.status("Asking the provider"):
        stub = services.SubscriptionServiceStub(opened)
        renewed = stub.RenewSubscription(request, timeout=LONG_CALL_SECONDS).subscription
    _show(renewed, json=json)


@app.command()
def delete(
    context: typer.Context, subscription_id: SubscriptionArgument, *, yes: YesOption = False, json: JsonOption = False
) -> None:
    """Delete a subscription here and at the provider."""
    confirm(f"Delete subscription {subscription_id}?", yes=yes)
    request = messages.DeleteSubscriptionRequest(subscription_id=subscription_id)
    with channel(context) as opened:
        stub = services.SubscriptionServiceStub(opened)
        deleted = stub.DeleteSubscription(request, timeout=LONG_CALL_SECONDS).subscription
    _show(deleted, json=json)


def _state(item: messages.Subscription) -> str:
    return word(messages.SubscriptionState.Name(item.state), STATE)


def _resource(resource: "messages.SubscriptionResource.ValueType") -> str:
    return word(messages.SubscriptionResource.Name(resource), RESOURCE)


def _watches(item: messages.Subscription) -> str:
    if item.resource in (messages.SUBSCRIPTION_RESOURCE_CALENDAR, messages.SUBSCRIPTION_RESOURCE_CALENDAR_LIST):
        return f"{_resource(item.resource)} {item.calendar_id}".strip()
    return item.folder_id or ",".join(item.label_ids) or "all mail"


def _show(item: messages.Subscription, *, json: bool) -> None:
    if json:
        print_json(item)
        return
    print_record(
        (
            ("subscription", item.subscription_id),
            ("tenant", item.tenant_id),
            ("provider", item.provider),
            ("watches", f"{_watches(item)}: {', '.join(item.change_types)}"),
            ("state", _state(item)),
            ("failure", f"{item.failure_reason} {item.failure_detail}".strip()),
            ("expires", when(item.expires_at)),
            ("renewed next", when(item.renew_at)),
            ("last push", when(item.last_notification_at)),
            ("covers from", when(item.covered_from)),
        )
    )
