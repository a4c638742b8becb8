"""`mailmesh endpoints`: addresses that get events as signed webhooks."""

from typing import Annotated

import typer

from mailmesh.delivery.v1 import endpoint_service_pb2 as messages
from mailmesh.delivery.v1 import endpoint_service_pb2_grpc as services
from stack.cli.conditions import condition_text, read_conditions
from stack.cli.connection import channel
from stack.cli.endpoint_access import (
    CertificateOption,
    ClientIdOption,
    KeyOption,
    ScopeOption,
    SecretOption,
    TokenUrlOption,
    certificate_of,
    credentials_of,
)
from stack.cli.output import (
    JsonOption,
    LimitOption,
    YesOption,
    confirm,
    enum_value,
    pages,
    print_json,
    print_record,
    print_table,
    show_aside,
    when,
    word,
)

app = typer.Typer(no_args_is_help=True, help="Manage webhook endpoints, and see their attempts.")
CERTIFICATE, CREDENTIALS = "client_certificate", "client_credentials"
STATE, VIEW, SIGNATURE = "ENDPOINT_STATE_", "ENDPOINT_VIEW_", "ENDPOINT_SIGNATURE_"
EndpointArgument = Annotated[
    str, typer.Argument(metavar="ENDPOINT", help="Id of the endpoint; `endpoints list` shows it.")
]
TenantOption = Annotated[list[str] | None, typer.Option(help="Deliver only events of this tenant; repeatable.")]
TypeOption = Annotated[
    list[str] | None, typer.Option(metavar="TYPE", help="Deliver only this type, or mail.* as a whole; repeatable.")
]
HeaderOption = Annotated[
    list[str] | None, typer.Option(metavar="NAME:VALUE", help="Header of the endpoint's own; repeatable.")
]
ConditionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--condition",
        metavar="[not:]FIELD[:TEST:VALUE]",
        help="Deliver only mails whose field equals, contains or ends-with the value; repeatable, all have to hold.",
    ),
]
RateOption = Annotated[
    int | None, typer.Option(min=0, max=1000, help="Largest number of requests in a second; 0 means no bound.")
]
ViewOption = Annotated[str, typer.Option(metavar="thin|full", help="Content of webhooks.")]


@app.command()
def create(
    context: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="Address that gets the webhooks.")],
    *,
    name: Annotated[str, typer.Option(help="Name for people.")] = "",
    tenant: TenantOption = None,
    event_type: TypeOption = None,
    condition: ConditionOption = None,
    rate: RateOption = None,
    view: ViewOption = "thin",
    header: HeaderOption = None,
    client_certificate: CertificateOption = None,
    client_key: KeyOption = None,
    token_url: TokenUrlOption = "",
    client_id: ClientIdOption = "",
    client_secret: SecretOption = None,
    scope: ScopeOption = "",
    signature: Annotated[str, typer.Option(metavar="v1|v1a", help="Shared key (v1), or key pair (v1a).")] = "v1",
    cursor: Annotated[str, typer.Option(help='Start: a position, "earliest" or "latest".')] = "latest",
    json: JsonOption = False,
) -> None:
    """Create an endpoint and show its signing key, once.

    Examples:
      mailmesh endpoints create https://example.com/hooks/mail
      mailmesh endpoints create https://example.com/hooks/mail --event-type mail.created --view full --signature v1a
      mailmesh endpoints create https://example.com/hooks/mail --condition sender:ends-with:@example.com --rate 10
    """
    request = messages.CreateEndpointRequest(
        url=url,
        display_name=name,
        filter=messages.EndpointFilter(
            tenant_ids=tenant, event_types=event_type, conditions=read_conditions(condition)
        ),
        rate=rate or 0,
        view=enum_value(messages.EndpointView, VIEW, view),
        headers=_headers(header),
        client_certificate=certificate_of(client_certificate, client_key),
        client_credentials=credentials_of(token_url, client_id, client_secret, scope),
        signature=enum_value(messages.EndpointSignature, SIGNATURE, signature),
        cursor=cursor,
    )
    with channel(context) as opened:
        made = services.EndpointServiceStub(opened).CreateEndpoint(request)
    if json:
        print_json(made)
        return
    _print(made.endpoint, json=False)
    print_record([("signing key", made.signing_key)])
    show_aside("Give the signing key to the receiver now: a shared key is not shown again.")


@app.command("list")
def list_endpoints(
    context: typer.Context,
    *,
    url: Annotated[str, typer.Option(help="List only endpoints with this URL.")] = "",
    limit: LimitOption = 100,
    json: JsonOption = False,
) -> None:
    """List endpoints, newest first.

    Examples:
      mailmesh endpoints list
    """
    with channel(context) as opened:
        stub = services.EndpointServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[list[messages.Endpoint], str]:
            answer = stub.ListEndpoints(messages.ListEndpointsRequest(page_size=size, page_token=token, url=url))
            return list(answer.endpoints), answer.next_page_token

        found = list(pages(fetch, limit))
    if json:
        print_json(found)
        return
    print_table(
        ("ENDPOINT", "STATE", "URL", "WAITING", "SUCCEEDED", "REASON"),
        [
            (one.endpoint_id, _state(one), one.url, str(one.waiting), when(one.succeeded_at), one.reason)
            for one in found
        ],
        "There are no endpoints.",
    )


@app.command()
def get(context: typer.Context, endpoint_id: EndpointArgument, *, json: JsonOption = False) -> None:
    """Show an endpoint and its state.

    Examples:
      mailmesh endpoints get 019a9f0e-7c1e-7000-8000-00000000000b
    """
    with channel(context) as opened:
        request = messages.GetEndpointRequest(endpoint_id=endpoint_id)
        found = services.EndpointServiceStub(opened).GetEndpoint(request).endpoint
    _print(found, json=json)


@app.command()
def update(
    context: typer.Context,
    endpoint_id: EndpointArgument,
    *,
    url: Annotated[str, typer.Option(help="New address.")] = "",
    name: Annotated[str, typer.Option(help="New name for people.")] = "",
    tenant: TenantOption = None,
    event_type: TypeOption = None,
    condition: ConditionOption = None,
    rate: RateOption = None,
    view: Annotated[str, typer.Option(metavar="thin|full", help="New content of webhooks.")] = "",
    header: HeaderOption = None,
    client_certificate: CertificateOption = None,
    client_key: KeyOption = None,
    token_url: TokenUrlOption = "",
    client_id: ClientIdOption = "",
    client_secret: SecretOption = None,
    scope: ScopeOption = "",
    no_client_certificate: Annotated[bool, typer.Option(help="Show no client certificate any more.")] = False,
    no_client_credentials: Annotated[bool, typer.Option(help="Ask for no access token any more.")] = False,
    json: JsonOption = False,
) -> None:
    """Change an endpoint. Options that are not given stay as they are; headers and the filter change as a whole.

    Examples:
      mailmesh endpoints update 019a9f0e-7c1e-7000-8000-00000000000b --url https://example.com/hooks/new
    """
    request = messages.UpdateEndpointRequest(
        endpoint_id=endpoint_id,
        url=url,
        display_name=name,
        view=enum_value(messages.EndpointView, VIEW, view) if view else messages.ENDPOINT_VIEW_UNSPECIFIED,
        headers=_headers(header),
        client_certificate=certificate_of(client_certificate, client_key),
        client_credentials=credentials_of(token_url, client_id, client_secret, scope),
    )
    if tenant or event_type or condition:
        chosen = messages.EndpointFilter(
            tenant_ids=tenant, event_types=event_type, conditions=read_conditions(condition)
        )
        request.filter.CopyFrom(chosen)
    request.rate = rate or 0
    named = {"rate": rate is not None, CERTIFICATE: no_client_certificate, CREDENTIALS: no_client_credentials}
    if any(named.values()):
        # Only a mask distinguishes a value that is to be removed from one that is not given.
        set_ones = {field.name for field, _ in request.ListFields()} - {"endpoint_id"}
        removed = {name for name, is_named in named.items() if is_named}
        request.update_mask.paths.extend(sorted(set_ones | removed))
    with channel(context) as opened:
        found = services.EndpointServiceStub(opened).UpdateEndpoint(request).endpoint
    _print(found, json=json)


@app.command()
def pause(context: typer.Context, endpoint_id: EndpointArgument, *, json: JsonOption = False) -> None:
    """Stop delivery to an endpoint; its position stays.

    Examples:
      mailmesh endpoints pause 019a9f0e-7c1e-7000-8000-00000000000b
    """
    with channel(context) as opened:
        request = messages.PauseEndpointRequest(endpoint_id=endpoint_id)
        found = services.EndpointServiceStub(opened).PauseEndpoint(request).endpoint
    _print(found, json=json)


@app.command()
def resume(
    context: typer.Context,
    endpoint_id: EndpointArgument,
    *,
    cursor: Annotated[str, typer.Option(help='New start: a position, "earliest" or "latest".')] = "",
    json: JsonOption = False,
) -> None:
    """Continue delivery to an endpoint that is paused, disabled or gone.

    Examples:
      mailmesh endpoints resume 019a9f0e-7c1e-7000-8000-00000000000b
    """
    with channel(context) as opened:
        request = messages.ResumeEndpointRequest(endpoint_id=endpoint_id, cursor=cursor)
        found = services.EndpointServiceStub(opened).ResumeEndpoint(request).endpoint
    _print(found, json=json)


@app.command("rotate-key")
def rotate_key(
    context: typer.Context,
    endpoint_id: EndpointArgument,
    *,
    overlap: Annotated[
        float, typer.Option(metavar="HOURS", min=0, max=168, help="Hours for which the previous key still signs.")
    ] = 24.0,
    json: JsonOption = False,
) -> None:
    """Make a new signing key and show it, once; the previous one signs beside it for a while.

    Examples:
      mailmesh endpoints rotate-key 019a9f0e-7c1e-7000-8000-00000000000b --overlap 48
    """
    request = messages.RotateEndpointKeyRequest(endpoint_id=endpoint_id)
    request.overlap.FromSeconds(round(overlap * 3600))
    with channel(context) as opened:
        made = services.EndpointServiceStub(opened).RotateEndpointKey(request)
    if json:
        print_json(made)
        return
    print_record([("endpoint", made.endpoint.endpoint_id), ("signing key", made.signing_key)])


@app.command()
def delete(context: typer.Context, endpoint_id: EndpointArgument, *, yes: YesOption = False) -> None:
    """Delete an endpoint with its key, its waiting deliveries and its attempts.

    Examples:
      mailmesh endpoints delete 019a9f0e-7c1e-7000-8000-00000000000b --yes
    """
    confirm("Delete the endpoint? Its waiting deliveries are lost.", yes=yes)
    with channel(context) as opened:
        services.EndpointServiceStub(opened).DeleteEndpoint(messages.DeleteEndpointRequest(endpoint_id=endpoint_id))


def _headers(options: list[str] | None) -> list[messages.EndpointHeader]:
    found: list[messages.EndpointHeader] = []
    for option in options or ():
        name, colon, value = option.partition(":")
        if not colon:
            raise typer.BadParameter("--header takes NAME:VALUE")
        found.append(messages.EndpointHeader(name=name.strip(), value=value.strip()))
    return found


def _print(found: messages.Endpoint, *, json: bool) -> None:
    if json:
        print_json(found)
        return
    record = [
        ("endpoint", found.endpoint_id),
        ("name", found.display_name),
        ("url", found.url),
        ("state", _state(found)),
        ("reason", found.reason),
        ("tenants", ", ".join(found.filter.tenant_ids) or "all"),
        ("types", ", ".join(found.filter.event_types)),
        ("conditions", ", ".join(map(condition_text, found.filter.conditions))),
        ("rate", str(found.rate or "")),
        ("view", word(messages.EndpointView.Name(found.view), VIEW)),
        ("headers", ", ".join(found.header_names)),
        ("certificate ends", when(found.client_certificate_ends_at)),
        ("token url", found.token_url),
        ("signature", word(messages.EndpointSignature.Name(found.signature), SIGNATURE)),
        ("public key", found.public_key),
        ("created", when(found.created_at)),
        ("succeeded", when(found.succeeded_at)),
        ("failing since", when(found.failing_since)),
        ("waiting", str(found.waiting)),
        ("exhausted", str(found.exhausted)),
        ("position", found.position),
    ]
    print_record([(name, value) for name, value in record if value])


def _state(found: messages.Endpoint) -> str:
    return word(messages.EndpointState.Name(found.state), STATE)
