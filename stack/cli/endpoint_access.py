"""The options of `mailmesh endpoints` for receivers that ask for a certificate or a token. Secrets come from files."""

from pathlib import Path
from typing import Annotated

import typer

from mailmesh.delivery.v1 import endpoint_service_pb2 as messages
from stack.cli.files import text_of

CertificateOption = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="File with a client certificate to show to the receiver, PEM."),
]
KeyOption = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="File with the certificate's private key, PEM.")
]
TokenUrlOption = Annotated[str, typer.Option(metavar="URL", help="Token endpoint, for OAuth client credentials.")]
ClientIdOption = Annotated[str, typer.Option(metavar="ID", help="The client's id at the token endpoint.")]
SecretOption = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="File with the client's secret.")]
ScopeOption = Annotated[str, typer.Option(help="Scope to ask the token endpoint for.")]


def certificate_of(certificate: Path | None, key: Path | None) -> messages.EndpointClientCertificate | None:
    """Return the client certificate that options name; None without them.

    Raises:
        typer.BadParameter: One of them is missing, or its file cannot be read.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise typer.BadParameter("--client-certificate and --client-key belong together")
    return messages.EndpointClientCertificate(certificate=text_of(certificate), key=text_of(key))


def credentials_of(
    token_url: str, client_id: str, client_secret: Path | None, scope: str
) -> messages.EndpointClientCredentials | None:
    """Return the client credentials that options name; None without them.

    Raises:
        typer.BadParameter: One of them is missing, or the secret's file cannot be read.
    """
    if not (token_url or client_id or client_secret or scope):
        return None
    if client_secret is None:
        raise typer.BadParameter("--token-url, --client-id and --client-secret belong together")
    return messages.EndpointClientCredentials(
        token_url=token_url, client_id=client_id, client_secret=text_of(client_secret).strip(), scope=scope
    )
