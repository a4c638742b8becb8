"""Google's consent page, its OpenID documents, and the userinfo resource."""

from simulator.accounts import Account
from simulator.flows import AuthorizeRequest, Flows, allows_redirect
from simulator.google.errors import api_error
from simulator.http import JSON, Call, Operations, Reply
from simulator.keys import SigningKeys
from simulator.pages import accounts_field, buttons, form, hidden, page, problem, redirect, scope_field
from simulator.state import World
from simulator.tokens import Code, opaque

ISSUER = "https://accounts.google.com"
LONG = {
    "email": "https://www.googleapis.com/auth/userinfo.email",
    "profile": "https://www.googleapis.com/auth/userinfo.profile",
}
IDENTITY = frozenset({"openid", *LONG.values()})


def long_scopes(scopes: tuple[str, ...]) -> tuple[str, ...]:
    """Return scopes under the names that Google gives back."""
    return tuple(dict.fromkeys(LONG.get(scope, scope) for scope in scopes))


class GoogleAccounts:
    """Sign-in and consent, where the boxes of single scopes can be unticked."""

    def __init__(self, world: World, keys: SigningKeys) -> None:
        self._world = world
        self._keys = keys
        self._flows = Flows()

    def register(self, operations: Operations) -> None:
        """Add the pages and documents to the provider's table."""
        operations.add("google.discovery", "GET", "/.well-known/openid-configuration", self.discovery, is_api=False)
        operations.add("google.certs", "GET", "/oauth2/v3/certs", self.certs, is_api=False)
        operations.add(
            "google.certs",
            "GET",
            "/oauth2/v1/certs",
            lambda _call: Reply(200, dict(self._keys.certificates())),
            is_api=False,
        )
        operations.add("google.authorize", "GET", "/o/oauth2/v2/auth", self.authorize, is_api=False)
        operations.add("google.consent", "POST", "/o/oauth2/consent", self.consent, is_api=False)
        for path in ("/v1/userinfo", "/oauth2/v3/userinfo"):
            operations.add("google.userinfo", "GET", path, self.userinfo)

    def discovery(self, _call: Call) -> Reply:
        """Return the OpenID configuration."""
        base = self._world.google_url
        return Reply(
            200,
            {
                "issuer": ISSUER,
                "authorization_endpoint": f"{base}/o/oauth2/v2/auth",
                "token_endpoint": f"{base}/token",
                "userinfo_endpoint": f"{base}/v1/userinfo",
                "revocation_endpoint": f"{base}/revoke",
                "jwks_uri": f"{base}/oauth2/v3/certs",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "code_challenge_methods_supported": ["S256"],
            },
        )

    def certs(self, _call: Call) -> Reply:
        """Return the published keys."""
        return Reply(200, self._keys.jwks(), {"cache-control": "public, max-age=300, must-revalidate"})

    def authorize(self, call: Call) -> Reply:
        """Show the page."""
        request = AuthorizeRequest.read(call)
        client = self._world.clients["googlews"].get(request.client_id)
        if client is None:
            return problem(
                "Access blocked: authorization error", "Error 401: invalid_client. The OAuth client was not found.", 401
            )
        if not allows_redirect(client, request.redirect_uri):
            return problem("Access blocked: this app's request is invalid", "Error 400: redirect_uri_mismatch")
        if request.response_type != "code" or not request.scopes:
            return problem(
                "Access blocked: this app's request is invalid",
                "Error 400: invalid_request. Missing required parameter: scope",
            )
        if request.challenge and request.challenge_method != "S256":
            return self._back(
                request, {"error": "invalid_request", "error_description": "code_challenge_method must be S256"}
            )
        if request.prompt == "none":
            return self._back(request, {"error": "interaction_required"})
        return self._form(request)

    def _form(self, request: AuthorizeRequest) -> Reply:
        people = ((account.address, account.name) for account in self._world.accounts["googlews"])
        boxes = "".join(scope_field(scope) for scope in long_scopes(request.scopes) if scope not in IDENTITY)
        inner = (
            hidden("flow", self._flows.begin(request))
            + accounts_field(people, request.login_hint)
            + f"<p>mailmesh wants access:</p>{boxes}"
            + buttons("Continue", "Cancel")
        )
        return page("Sign in with Google", form("/o/oauth2/consent", inner))

    def consent(self, call: Call) -> Reply:
        """Take the person's answer and send the browser back."""
        pairs = call.form_pairs()
        fields = dict(pairs)
        request = self._flows.take(fields.get("flow", ""))
        if request is None:
            return problem("Something went wrong", "This page is no longer valid. Begin again.")
        if fields.get("action") != "accept":
            return self._back(request, {"error": "access_denied"})
        account = self._world.accounts["googlews"].find(fields.get("account", ""))
        if account is None:
            return problem("Sign in", "Couldn't find your Google Account.")
        call.account = account
        if account.consent != "allowed":
            return problem(
                "Access blocked", "Error 400: admin_policy_enforced. Your administrator must allow this app first."
            )
        ticked = {value for name, value in pairs if name == "scope"}
        return self._accepted(
            request,
            account,
            tuple(scope for scope in long_scopes(request.scopes) if scope in IDENTITY or scope in ticked),
        )

    def _accepted(self, request: AuthorizeRequest, account: Account, scopes: tuple[str, ...]) -> Reply:
        had = account.granted.get(request.client_id)
        if request.includes_granted and had:
            scopes = (*scopes, *sorted(had - set(scopes)))
        account.granted.setdefault(request.client_id, set()).update(scopes)
        code = Code(
            account=account,
            client_id=request.client_id,
            redirect_uri=request.redirect_uri,
            scopes=scopes,
            challenge=request.challenge,
            nonce=request.nonce,
            expires_at=self._world.clock.seconds() + self._world.knobs.code_seconds,
            is_offline=request.access_type == "offline" and (had is None or "consent" in request.prompt.split()),
        )
        text = self._world.tokens["googlews"].add_code(code, opaque("4/0A", 50))
        return self._back(
            request,
            {"code": text, "scope": " ".join(scopes), "authuser": "0", "hd": account.directory, "prompt": "consent"},
        )

    def _back(self, request: AuthorizeRequest, answer: dict[str, str]) -> Reply:
        return redirect(request.redirect_uri, {"state": request.state, **answer} if request.state else answer)

    def userinfo(self, call: Call) -> Reply:
        """Return the token's person, as far as the scopes allow."""
        grant, account = call.grant, call.account
        if grant is None or account is None:
            raise api_error(401)
        shown: JSON = {"sub": account.id}
        if LONG["profile"] in grant.scopes:
            shown |= {
                "name": account.name,
                "given_name": account.name.partition(" ")[0],
                "family_name": account.name.partition(" ")[2],
            }
        if LONG["email"] in grant.scopes:
            shown |= {"email": account.address, "email_verified": True, "hd": account.directory}
        return Reply(200, shown)
