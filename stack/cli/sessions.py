"""`mailmesh sessions`: the browsers that are signed in to the console."""

from typing import Annotated

import typer

from mailmesh.vault.v1 import session_service_pb2 as messages
from mailmesh.vault.v1 import session_service_pb2_grpc as services
from stack.cli.connection import channel
from stack.cli.output import JsonOption, LimitOption, YesOption, confirm, pages, print_json, print_table, show, when

app = typer.Typer(no_args_is_help=True, help="List and end the sessions of browsers at the console.")


@app.callback()
def sessions() -> None:
    """List and end the sessions of browsers at the console."""


@app.command("list")
def list_sessions(
    context: typer.Context,
    *,
    key: Annotated[str, typer.Option(metavar="KEY", help="List only sessions of this API key.")] = "",
    limit: LimitOption = 100,
    json: JsonOption = False,
) -> None:
    """List the sessions that have not ended, oldest first.

    Examples:
      mailmesh sessions list
    """
    with channel(context) as opened:
        stub = services.SessionServiceStub(opened)

        def fetch(size: int, token: str) -> tuple[list[messages.Session], str]:
            request = messages.ListSessionsRequest(page_size=size, page_token=token, api_key_id=key)
            answer = stub.ListSessions(request)
            return list(answer.sessions), answer.next_page_token

        found = list(pages(fetch, limit))
    if json:
        print_json(found)
        return
    print_table(
        ("SESSION", "KEY", "NAME", "SIGNED IN", "LAST USED", "ENDS"),
        [
            (
                *(one.session_id, one.api_key_id, one.key_display_name),
                *(when(one.created_at), when(one.last_used_at), when(one.expires_at)),
            )
            for one in found
        ],
        "No browser is signed in.",
    )


@app.command()
def end(
    context: typer.Context,
    session_id: Annotated[str, typer.Argument(metavar="SESSION", help="Id of the session; `sessions list` shows it.")],
    *,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """End a session. Its API key stays: `keys revoke` ends that with all its sessions.

    Examples:
      mailmesh sessions end 019a9f0e-7c1e-7000-8000-00000000000d
    """
    confirm(f"End the session {session_id}? Its browser is signed out.", yes=yes)
    with channel(context) as opened:
        request = messages.RevokeSessionRequest(session_id=session_id)
        ended = services.SessionServiceStub(opened).RevokeSession(request).session
    if json:
        print_json(ended)
    else:
        show(f"session {ended.session_id} of {ended.key_display_name} has ended")
