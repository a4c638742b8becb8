"""The metadata server of Google's machines, in the clear as there: it gives the machine's service account a token."""

import time

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from simulator.state import World
from simulator.tokens import Grant, opaque

FLAVOR = {"metadata-flavor": "Google"}
_BASE = "/computeMetadata/v1"
_ACCOUNT = f"{_BASE}/instance/service-accounts/{{account}}"
_SCOPES = "https://www.googleapis.com/auth/cloud-platform"
_TOKEN = "metadata.token"  # noqa: S105 - the operation's name


class MetadataServer:
    """Serves the identity that the control API sets; without one, the machine has none.

    faults of kind ``status`` at ``metadata.token`` strike it.
    """

    def __init__(self, world: World, project: str) -> None:
        self._world = world
        self._project = project

    @property
    def routes(self) -> list[Route]:
        """The routes of the server."""
        return [
            Route("/", self.root),
            Route(f"{_BASE}/project/project-id", self.project),
            Route(f"{_ACCOUNT}/", self.account),
            Route(f"{_ACCOUNT}/token", self.token),
        ]

    async def root(self, request: Request) -> Response:
        """Answer the question whether this is a metadata server."""
        return _refused(request) or PlainTextResponse("computeMetadata/\n", headers=FLAVOR)

    async def project(self, request: Request) -> Response:
        """Return the machine's project."""
        return _refused(request) or PlainTextResponse(self._project, headers=FLAVOR)

    async def account(self, request: Request) -> Response:
        """Return the machine's service account."""
        email = self._world.platform_identity
        if refused := _refused(request) or _missing(request, email):
            return refused
        return JSONResponse({"aliases": ["default"], "email": email, "scopes": [_SCOPES]}, headers=FLAVOR)

    async def token(self, request: Request) -> Response:
        """Return a token of the machine's service account, with the scopes that the query asks for."""
        email, began = self._world.platform_identity, time.perf_counter()
        faults = self._world.faults.strike(_TOKEN, email)
        status = next((fault.status for fault in faults if fault.kind == "status"), 0)
        answer = _refused(request) or _missing(request, email)
        if answer is None and status:
            answer = PlainTextResponse("Service Unavailable", status, headers=FLAVOR)
        answer = answer or self._issued(email, request.query_params.get("scopes") or _SCOPES)
        self._world.calls.add(
            at=self._world.clock.seconds(),
            provider="googlews",
            method="GET",
            path=request.url.path,
            endpoint=_TOKEN,
            account=email,
            status=answer.status_code,
            milliseconds=round((time.perf_counter() - began) * 1000, 3),
            fault=",".join(fault.kind for fault in faults),
            inside_batch=False,
        )
        return answer

    def _issued(self, email: str, scopes: str) -> Response:
        seconds = self._world.knobs.access_token_seconds
        expires_at = self._world.clock.seconds() + seconds
        grant = Grant(None, email, frozenset(scopes.split(",")), expires_at, self._project)
        access = self._world.tokens["googlews"].add_access(opaque("ya29.c.b0A", 160), grant)
        body = {"access_token": access, "expires_in": seconds, "token_type": "Bearer"}
        return JSONResponse(body, headers=FLAVOR)


def _refused(request: Request) -> Response | None:
    """Refuse what a page or a proxy may have sent: requests without the header, and forwarded ones."""
    if request.headers.get("metadata-flavor") != "Google" or "x-forwarded-for" in request.headers:
        return PlainTextResponse("Missing Metadata-Flavor:Google header.", 403, headers=FLAVOR)
    return None


def _missing(request: Request, email: str) -> Response | None:
    """Refuse another account than the machine's own, which has two names."""
    if email and request.path_params["account"] in {"default", email}:
        return None
    return PlainTextResponse("Not Found", 404, headers=FLAVOR)
