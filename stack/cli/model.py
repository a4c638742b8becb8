"""`mailmesh model`: the model that the operator names, for tenants that allow it."""

from collections.abc import Sequence
from typing import Annotated

import typer

from mailmesh.processor.v1 import model_service_pb2 as messages
from mailmesh.processor.v1 import model_service_pb2_grpc as services
from stack.cli.connection import channel
from stack.cli.output import JsonOption, LimitOption, pages, print_json, print_record, print_table, when
from stack.cli.primitives import FileArgument, labels_of, read_file, schema_of

app = typer.Typer(no_args_is_help=True, help="Ask the model that the operator names, and choose who may.")
TenantArgument = Annotated[str, typer.Argument(metavar="TENANT", help="Id of the tenant; `tenants list` shows it.")]


@app.command()
def get(context: typer.Context, tenant: TenantArgument, *, json: JsonOption = False) -> None:
    """Show whether a tenant's texts may be sent to the model, and the tokens of today.

    Examples:
      mailmesh model get 019a9f0e-7c1e-7000-8000-000000000002
    """
    with channel(context) as opened:
        found = services.ModelServiceStub(opened).GetModelSettings(messages.GetModelSettingsRequest(tenant_id=tenant))
    _print(found, json=json)


@app.command()
def enable(
    context: typer.Context,
    tenant: TenantArgument,
    *,
    outside: Annotated[
        bool, typer.Option("--outside", help="Allow texts to leave this machine, to a model on another one.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Allow a tenant's texts to be sent to the model.

    Examples:
      mailmesh model enable 019a9f0e-7c1e-7000-8000-000000000002
      mailmesh model enable 019a9f0e-7c1e-7000-8000-000000000002 --outside
    """
    _update(context, tenant, messages.ModelSettings(is_enabled=True, may_leave_machine=outside), json=json)


@app.command()
def disable(context: typer.Context, tenant: TenantArgument, *, json: JsonOption = False) -> None:
    """Send no further text of a tenant to the model.

    Examples:
      mailmesh model disable 019a9f0e-7c1e-7000-8000-000000000002
    """
    _update(context, tenant, messages.ModelSettings(), json=json)


@app.command()
def classify(
    context: typer.Context,
    tenant: TenantArgument,
    file: FileArgument,
    label: Annotated[
        list[str],
        typer.Option(metavar="NAME[=EXAMPLE]", help="A label and a text that has it; repeat it for each example."),
    ],
    *,
    subject: Annotated[str, typer.Option(help="The mail's subject.")] = "",
    json: JsonOption = False,
) -> None:
    """Let the model choose one of your labels for the text of a mail.

    Examples:
      mailmesh model classify 019a9f0e-7c1e-7000-8000-000000000002 text.txt --label "bill=Our invoice." --label end
    """
    request = messages.ClassifyByModelRequest(
        tenant_id=tenant, subject=subject, text=read_file(file).decode(errors="replace"), labels=labels_of(label)
    )
    with channel(context) as opened:
        found = services.ModelServiceStub(opened).ClassifyByModel(request)
    if json:
        print_json(found)
        return
    print_record({"label": found.label, "method": found.method, "tokens": str(found.tokens)}.items())


@app.command()
def extract(
    context: typer.Context,
    tenant: TenantArgument,
    file: FileArgument,
    field: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=FORMAT", help="A value to find: date, email, uri, iban, phone, amount, identifier, text."
        ),
    ],
    *,
    json: JsonOption = False,
) -> None:
    """Let the model quote the values of a schema from a text; quotes that do not stand there are refused.

    Examples:
      mailmesh model extract 019a9f0e-7c1e-7000-8000-000000000002 text.txt --field total=amount --field due=date
    """
    request = messages.ExtractByModelRequest(tenant_id=tenant, text=read_file(file).decode(errors="replace"))
    request.schema.update(schema_of(field))
    with channel(context) as opened:
        found = services.ModelServiceStub(opened).ExtractByModel(request)
    if json:
        print_json(found)
        return
    values = {one.name: ", ".join(value.value for value in one.values) for one in found.answer.fields}
    print_record((values | {"refused quotes": str(found.refused or ""), "tokens": str(found.tokens)}).items())


@app.command()
def calls(context: typer.Context, tenant: TenantArgument, *, limit: LimitOption = 50, json: JsonOption = False) -> None:
    """List the texts of a tenant that were sent to the model, newest first; the texts are not kept.

    Examples:
      mailmesh model calls 019a9f0e-7c1e-7000-8000-000000000002
    """
    with channel(context) as opened:
        stub = services.ModelServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[Sequence[messages.ModelCall], str]:
            page = stub.ListModelCalls(
                messages.ListModelCallsRequest(tenant_id=tenant, page_size=size, page_token=token)
            )
            return page.calls, page.next_page_token

        found = list(pages(fetch, limit))
    if json:
        print_json(found)
        return
    print_table(
        ("Asked", "Operation", "Model", "Outside", "State", "Label", "Tokens"),
        (
            (
                when(call.asked_at),
                call.operation,
                call.model,
                "yes" if call.is_outside else "",
                call.reason or messages.ModelCallState.Name(call.state).removeprefix("MODEL_CALL_STATE_").lower(),
                call.label,
                str(call.tokens),
            )
            for call in found
        ),
        empty="No text was sent to the model.",
    )


def _update(context: typer.Context, tenant: str, settings: messages.ModelSettings, *, json: bool) -> None:
    with channel(context) as opened:
        request = messages.UpdateModelSettingsRequest(tenant_id=tenant, settings=settings)
        found = services.ModelServiceStub(opened).UpdateModelSettings(request)
    _print(found, json=json)


def _print(found: messages.GetModelSettingsResponse | messages.UpdateModelSettingsResponse, *, json: bool) -> None:
    if json:
        print_json(found)
        return
    state = found.state
    print_record(
        [
            ("Enabled", "yes" if found.settings.is_enabled else "no"),
            ("May leave this machine", "yes" if found.settings.may_leave_machine else "no"),
            ("Model", state.model or "none is named"),
            ("Is outside", "yes" if state.is_outside else ""),
            ("Tokens today", f"{state.tokens_today} of {state.tokens_per_day}"),
        ]
    )
