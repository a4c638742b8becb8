"""`mailmesh sealing`: choose the tenants whose stored mail is sealed at rest."""

from typing import Annotated

import typer

from mailmesh.processor.v1 import sealing_service_pb2 as messages
from mailmesh.processor.v1 import sealing_service_pb2_grpc as services
from stack.cli.connection import channel
from stack.cli.output import JsonOption, print_json, print_record, when

app = typer.Typer(no_args_is_help=True, help="Choose the tenants whose stored mail is sealed at rest.")
TenantArgument = Annotated[str, typer.Argument(metavar="TENANT", help="Id of the tenant; `tenants list` shows it.")]


@app.command()
def get(context: typer.Context, tenant: TenantArgument, *, json: JsonOption = False) -> None:
    """Show whether a tenant's stored mail is sealed, and how far.

    Examples:
      mailmesh sealing get 019a9f0e-7c1e-7000-8000-000000000002
    """
    with channel(context) as opened:
        request = messages.GetSealingSettingsRequest(tenant_id=tenant)
        found = services.SealingServiceStub(opened).GetSealingSettings(request)
    _print(found, json=json)


@app.command()
def enable(context: typer.Context, tenant: TenantArgument, *, json: JsonOption = False) -> None:
    """Seal a tenant's stored mail: what arrives, then what is stored. Search must be disabled.

    Examples:
      mailmesh sealing enable 019a9f0e-7c1e-7000-8000-000000000002
    """
    _update(context, tenant, is_enabled=True, json=json)


@app.command()
def disable(context: typer.Context, tenant: TenantArgument, *, json: JsonOption = False) -> None:
    """Store new mail in the clear again; sealed content stays sealed, and is read as before.

    Examples:
      mailmesh sealing disable 019a9f0e-7c1e-7000-8000-000000000002
    """
    _update(context, tenant, is_enabled=False, json=json)


def _update(context: typer.Context, tenant: str, *, is_enabled: bool, json: bool) -> None:
    settings = messages.SealingSettings(is_enabled=is_enabled)
    with channel(context) as opened:
        request = messages.UpdateSealingSettingsRequest(tenant_id=tenant, settings=settings)
        found = services.SealingServiceStub(opened).UpdateSealingSettings(request)
    _print(found, json=json)


def _print(found: messages.GetSealingSettingsResponse | messages.UpdateSealingSettingsResponse, *, json: bool) -> None:
    if json:
        print_json(found)
        return
    state = found.state
    print_record(
        [
            ("Enabled", "yes" if found.settings.is_enabled else "no"),
            ("Since", when(state.enabled_at) if found.settings.is_enabled else ""),
            ("Stored mail", "is being sealed" if state.is_sealing_stored else ""),
            ("Rows sealed after the fact", str(state.sealed_rows)),
        ]
    )
