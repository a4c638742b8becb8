"""`mailmesh subscriptions`: what the providers push."""

from typing import Annotated

import typer

from mailmesh.ingest.v1 import subscription_service_pb2 as messages
from mailmesh.ingest.v1 import subscription_service_pb2_grpc as services
from stack.cli.connection import LONG_CALL_SECONDS, channel
from stack.cli.output import (
    JsonOption,
    LimitOption,
    YesOption,
    confirm,
    console,
    pages,
    print_json,
    print_record,
    print_table,
    when,
    word,
)

app = typer.Typer(no_args_is_help=True, help="What the providers push to us.")
SubscriptionArgument = Annotated[str, typer.Argument(metavar="SUBSCRIPTION", help="The subscription's id.")]


@app.command()
def create(
    context: typer.Context,
    tenant_id: Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's id.")],
    *,
    folder: Annotated[str, typer.Option(help="Microsoft: a folder's id or well-known name. [default: inbox]")] = "",
    label: Annotated[list[str] | None, typer.Option(help="Google: a label; repeatable. [default: INBOX]")] = None,
    all_mail: Annotated[bool, typer.Option(help="Every folder or label.")] = False,
    change_type: Annotated[
        list[str] | None, typer.Option(help="created, updated or deleted; repeatable. [default: all three]")
    ] = None,
    poll: Annotated[bool, typer.Option(help="Compare on a schedule instead of being pushed to.")] = False,
    json: JsonOption = False,
) -> None:
    r"""Make the provider push changes of a mailbox, or of a folder or labels in it.

    \b
    Examples:
      mailmesh subscriptions create 019a9f0e-7c1e-7000-8000-000000000002
      mailmesh subscriptions create 019a9f0e-... --folder archive --change-type created
      mailmesh subscriptions create 019a9f0e-... --label INBOX --label Label_7
    """
    request = messages.CreateSubscriptionRequest(
        tenant_id=tenant_id,
        folder_id=folder,
        label_ids=label or (),
        all_mail=all_mail,
        change_types=change_type or (),
        delivery_mode=messages.DELIVERY_MODE_POLL if poll else messages.DELIVERY_MODE_UNSPECIFIED,
    )
    with channel(context) as opened, console.status("Asking the provider"):
        stub = services.SubscriptionServiceStub(opened)
        made = stub.CreateSubscription(request, timeout=LONG_CALL_SECONDS).subscription
    _show(made, json=json)


@app.command("list")
def list_subscriptions(
    context: typer.Context,
    *,
    tenant: Annotated[str, typer.Option(help="Only this tenant's.")] = "",
    limit: LimitOption = 100,
    json: JsonOption = False,
) -> None:
    """List the subscriptions, oldest first."""
    with channel(context) as opened:
        stub = services.SubscriptionServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[list[messages.Subscription], str]:
            request = messages.ListSubscriptionsRequest(page_size=size, page_token=token, tenant_id=tenant)
            answer = stub.ListSubscriptions(request)
            return list(answer.subscriptions), answer.next_page_token

        found = list(pages(fetch, limit))
    if json:
        print_json(found)
        return
    print_table(
        ("SUBSCRIPTION", "TENANT", "PROVIDER", "WATCHES", "STATE", "EXPIRES", "LAST PUSH", "TROUBLE"),
        [
            (
                *(item.subscription_id, item.tenant_id, item.provider, _watches(item), _state(item)),
                *(when(item.expires_at), when(item.last_notification_at), item.failure_reason),
            )
            for item in found
        ],
        "There is no subscription. `mailmesh subscriptions create TENANT` makes one.",
    )


@app.command()
def show(context: typer.Context, subscription_id: SubscriptionArgument, *, json: JsonOption = False) -> None:
    """Show one subscription."""
    request = messages.GetSubscriptionRequest(subscription_id=subscription_id)
    with channel(context) as opened:
        _show(services.SubscriptionServiceStub(opened).GetSubscription(request).subscription, json=json)


@app.command()
def renew(context: typer.Context, subscription_id: SubscriptionArgument, *, json: JsonOption = False) -> None:
    """Renew a subscription now; one that the provider dropped is made anew."""
    request = messages.RenewSubscriptionRequest(subscription_id=subscription_id)
    with channel(context) as opened, console.status("Asking the provider"):
        stub = services.SubscriptionServiceStub(opened)
        renewed = stub.RenewSubscription(request, timeout=LONG_CALL_SECONDS).subscription
    _show(renewed, json=json)


@app.command()
def delete(
    context: typer.Context, subscription_id: SubscriptionArgument, *, yes: YesOption = False, json: JsonOption = False
) -> None:
    """End a subscription here and at the provider."""
    confirm(f"Delete subscription {subscription_id}?", yes=yes)
    request = messages.DeleteSubscriptionRequest(subscription_id=subscription_id)
    with channel(context) as opened:
        stub = services.SubscriptionServiceStub(opened)
        deleted = stub.DeleteSubscription(request, timeout=LONG_CALL_SECONDS).subscription
    _show(deleted, json=json)


def _state(item: messages.Subscription) -> str:
    return word(messages.SubscriptionState.Name(item.state), "SUBSCRIPTION_STATE_")


def _watches(item: messages.Subscription) -> str:
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
            ("trouble", f"{item.failure_reason} {item.failure_detail}".strip()),
            ("expires", when(item.expires_at)),
            ("renewed next", when(item.renew_at)),
            ("last push", when(item.last_notification_at)),
            ("covers from", when(item.covered_from)),
        )
    )
