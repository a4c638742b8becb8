"""`mailmesh app-credentials`: the credentials by which the app proves itself to the providers."""

from pathlib import Path
from typing import Annotated

import typer

from mailmesh.vault.v1 import directory_service_pb2 as messages
from mailmesh.vault.v1 import directory_service_pb2_grpc as services
from stack.cli.connection import channel
from stack.cli.files import text_of
from stack.cli.output import (
    JsonOption,
    LimitOption,
    YesOption,
    confirm,
    pages,
    print_json,
    print_table,
    show,
    show_aside,
    when,
)

app = typer.Typer(no_args_is_help=True, help="Manage the certificates and keys of the app at the providers.")


@app.command()
def add(
    context: typer.Context,
    *,
    certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Client certificate for Microsoft, as PEM.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Private key of the certificate, as PEM without a passphrase.")
    ] = None,
    service_account: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Key of a service account for Google, a JSON file.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Add a client certificate for Microsoft, or a service account's key for Google.

    TokenVault seals the private key, and nothing shows it again. Delete the file afterwards. A second credential beside
    the first is a rotation: the newest is used first, the older one while the provider refuses the newest.

    Examples:
      mailmesh app-credentials add --certificate app.pem --key app.key
      mailmesh app-credentials add --service-account mailmesh.json
    """
    request = messages.AddAppCredentialRequest()
    if service_account is not None and certificate is None and key is None:
        request.service_account_key = text_of(service_account)
    elif certificate is not None and key is not None and service_account is None:
        request.microsoft_certificate.certificate_pem = text_of(certificate)
        request.microsoft_certificate.private_key_pem = text_of(key)
    else:
        raise typer.BadParameter("Name --certificate with --key, or --service-account.")
    with channel(context) as opened:
        added = services.DirectoryServiceStub(opened).AddAppCredential(request).credential
    if json:
        print_json(added)
        return
    show(("added", "green"), f": {added.key_name} of {added.account}")
    show_aside(f"Client id for administrators: {added.client_id}. Delete the file of the private key now.")


@app.command("list")
def list_credentials(context: typer.Context, *, limit: LimitOption = 100, json: JsonOption = False) -> None:
    """List the credentials, without their private keys."""
    with channel(context) as opened:
        stub = services.DirectoryServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[list[messages.AppCredential], str]:
            answer = stub.ListAppCredentials(messages.ListAppCredentialsRequest(page_size=size, page_token=token))
            return list(answer.credentials), answer.next_page_token

        found = list(pages(fetch, limit))
    if json:
        print_json(found)
        return
    rows = [(one.credential_id, one.provider, one.key_name, one.account, one.client_id, _end(one)) for one in found]
    print_table(
        ("CREDENTIAL", "PROVIDER", "KEY", "ACCOUNT", "CLIENT ID", "EXPIRES"), rows, "The app has no credentials."
    )


@app.command()
def delete(
    context: typer.Context,
    credential_id: Annotated[
        str, typer.Argument(metavar="CREDENTIAL", help="Id of the credential; `app-credentials list` shows it.")
    ],
    *,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Delete a credential with its private key. Remove it at the provider, too."""
    confirm(f"Delete credential {credential_id}?", yes=yes)
    request = messages.DeleteAppCredentialRequest(credential_id=credential_id)
    with channel(context) as opened:
        answer = services.DirectoryServiceStub(opened).DeleteAppCredential(request)
    if json:
        print_json(answer)
    else:
        show(f"credential {credential_id} is deleted")


def _end(one: messages.AppCredential) -> str:
    if not one.HasField("expires_at"):
        return "never"
    return f"{when(one.expires_at)}{' (soon: add another one)' if one.is_expiring else ''}"
