"""`mailmesh classification`: choose the tenants whose mail gets a label on arrival, and the labels."""

from typing import Annotated

import typer

from mailmesh.processor.v1 import classification_service_pb2 as messages
from mailmesh.processor.v1 import classification_service_pb2_grpc as services
from stack.cli.connection import channel
from stack.cli.output import JsonOption, print_json, print_record, when
from stack.cli.primitives import labels_of

app = typer.Typer(no_args_is_help=True, help="Choose the tenants whose mail gets a label on arrival.")
TenantArgument = Annotated[str, typer.Argument(metavar="TENANT", help="Id of the tenant; `tenants list` shows it.")]


@app.command()
def get(context: typer.Context, tenant: TenantArgument, *, json: JsonOption = False) -> None:
    """Show a tenant's labels, and whether its mail waits for them.

    Examples:
      mailmesh classification get 019a9f0e-7c1e-7000-8000-000000000002
    """
    with channel(context) as opened:
        request = messages.GetClassificationSettingsRequest(tenant_id=tenant)
        found = services.ClassificationServiceStub(opened).GetClassificationSettings(request)
    _print(found, json=json)


@app.command()
def enable(
    context: typer.Context,
    tenant: TenantArgument,
    label: Annotated[
        list[str], typer.Option(metavar="NAME=EXAMPLE", help="A label and an example; repeat it for more of either.")
    ],
    *,
    margin: Annotated[
        float | None, typer.Option(min=0, max=1, help="Lead below which a label is unknown. [default: 0.01]")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Classify the mail that arrives from now on, or change the labels.

    Examples:
      mailmesh classification enable 019a9f0e-7c1e-7000-8000-000000000002 --label "bill=The amount is wrong." \
        --label "end=Please cancel my contract."
    """
    settings = messages.ClassificationSettings(is_enabled=True, labels=labels_of(label), minimum_margin=margin)
    _update(context, tenant, settings, json=json)


@app.command()
def disable(context: typer.Context, tenant: TenantArgument, *, json: JsonOption = False) -> None:
    """Classify no further mail of a tenant; its labels are deleted, events stay.

    Examples:
      mailmesh classification disable 019a9f0e-7c1e-7000-8000-000000000002
    """
    _update(context, tenant, messages.ClassificationSettings(), json=json)


def _update(context: typer.Context, tenant: str, settings: messages.ClassificationSettings, *, json: bool) -> None:
    with channel(context) as opened:
        request = messages.UpdateClassificationSettingsRequest(tenant_id=tenant, settings=settings)
        found = services.ClassificationServiceStub(opened).UpdateClassificationSettings(request)
    _print(found, json=json)


def _print(
    found: messages.GetClassificationSettingsResponse | messages.UpdateClassificationSettingsResponse, *, json: bool
) -> None:
    if json:
        print_json(found)
        return
    progress = found.progress
    print_record(
        [
            ("Enabled", "yes" if found.settings.is_enabled else "no"),
            ("Labels", ", ".join(f"{label.name} ({len(label.examples)})" for label in found.settings.labels)),
            ("Settings version", str(progress.settings_version)),
            ("Waiting", "yes" if progress.is_waiting else ""),
            ("Reason", progress.reason),
            ("Next attempt", when(progress.retry_at)),
        ]
    )
