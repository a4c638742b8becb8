"""The identity platform's authorization page, and the documents that client libraries read."""

import html
import secrets

from simulator.accounts import Account
from simulator.flows import AuthorizeRequest, Flows, allows_redirect
from simulator.http import Call, Operations, Reply
from simulator.keys import SigningKeys
from simulator.microsoft.errors import sentence_of
from simulator.pages import accounts_field, buttons, form, hidden, page, problem, redirect, self_posting
from simulator.state import World
from simulator.tokens import Code, opaque

SHARED_TENANTS = frozenset({"organizations", "common"})


class Login:
    """Sign-in and consent."""

    def __init__(self, world: World, keys: SigningKeys) -> None:
        self._world = world
        self._keys = keys
        self._flows = Flows()

    def register(self, operations: Operations) -> None:
        """Add the pages and documents to the provider's table."""
        for tenant_path in (
            "/{tenant}/v2.0/.well-known/openid-configuration",
            "/{tenant}/.well-known/openid-configuration",
        ):
            operations.add("ms.discovery", "GET", tenant_path, self.discovery, is_api=False)
        # RFC 8414 puts its path before the issuer's; clients that look there first find nothing.
        operations.add(
            "ms.discovery",
            "GET",
            "/.well-known/{document}/{tenant}/v2.0",
            lambda _call: Reply(404, {"error": "not_found"}),
            is_api=False,
        )
        operations.add(
            "ms.keys", "GET", "/{tenant}/discovery/v2.0/keys", lambda _call: Reply(200, self._keys.jwks()), is_api=False
        )
        operations.add("ms.authorize", "GET", "/{tenant}/oauth2/v2.0/authorize", self.authorize, is_api=False)
        operations.add("ms.consent", "POST", "/{tenant}/consent", self.consent, is_api=False)
        operations.add(
            "ms.logout", "GET", "/{tenant}/oauth2/v2.0/logout", lambda _call: page("Signed out", ""), is_api=False
        )

    def discovery(self, call: Call) -> Reply:
        """Return the OpenID configuration of a tenant; a shared one's issuer is a template, as in life."""
        base, tenant = self._world.microsoft_url, call.params["tenant"]
        issuer = "{tenantid}" if tenant in SHARED_TENANTS else tenant
        return Reply(
            200,
            {
                "token_endpoint": f"{base}/{tenant}/oauth2/v2.0/token",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
                "device_authorization_endpoint": f"{base}/{tenant}/oauth2/v2.0/devicecode",
                "jwks_uri": f"{base}/{tenant}/discovery/v2.0/keys",
                "response_modes_supported": ["query", "form_post"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "response_types_supported": ["code"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "issuer": f"{base}/{issuer}/v2.0",
                "userinfo_endpoint": f"{base}/graph/oidc/userinfo",
                "authorization_endpoint": f"{base}/{tenant}/oauth2/v2.0/authorize",
                "end_session_endpoint": f"{base}/{tenant}/oauth2/v2.0/logout",
                "tenant_region_scope": None,
                "cloud_instance_name": "microsoftonline.com",
                "msgraph_host": "graph.microsoft.com",
            },
        )

    def authorize(self, call: Call) -> Reply:
        """Show the page, or send the browser back at once where no page can help."""
        request = AuthorizeRequest.read(call, call.params["tenant"])
        client = self._world.clients["ms365"].get(request.client_id)
        if client is None:
            return problem("Sign in", sentence_of(700016, request.client_id))
        if not allows_redirect(client, request.redirect_uri):
            return problem("Sign in", sentence_of(50011, request.redirect_uri))
        if request.response_type != "code":
            return self._back(
                request,
                {
                    "error": "unsupported_response_type",
                    "error_description": "AADSTS700054: response_type is not enabled.",
                },
            )
        if request.challenge and request.challenge_method != "S256":
            return self._back(
                request,
                {"error": "invalid_request", "error_description": "AADSTS501491: code_challenge_method must be S256."},
            )
        if request.prompt == "none":
            return self._back(
                request, {"error": "interaction_required", "error_description": sentence_of(65001, request.client_id)}
            )
        return self._form(request)

    def _form(self, request: AuthorizeRequest) -> Reply:
        people = ((account.principal, account.name) for account in self._world.accounts["ms365"])
        scopes = "".join(f"<li>{html.escape(scope)}</li>" for scope in request.scopes)
        inner = (
            hidden("flow", self._flows.begin(request))
            + accounts_field(people, request.login_hint)
            + f"<p>mailmesh asks for:</p><ul>{scopes}</ul>"
            + buttons("Accept", "Cancel")
        )
        return page("Permissions requested", form(f"/{request.tenant}/consent", inner))

    def consent(self, call: Call) -> Reply:
        """Take the person's answer and send the browser back."""
        fields = call.form()
        request = self._flows.take(fields.get("flow", ""))
        if request is None:
            return problem("Sign in", "This page is no longer valid. Begin again.")
        if fields.get("action") != "accept":
            return self._denied(request, 65004, "cancel")
        account = self._world.accounts["ms365"].find(fields.get("account", ""))
        if account is None:
            return problem("Sign in", sentence_of(50034, fields.get("account", "")))
        call.account = account
        if request.tenant not in SHARED_TENANTS and request.tenant != account.directory:
            return problem(
                "Sign in", f"AADSTS50020: User account '{account.address}' does not exist in tenant '{request.tenant}'."
            )
        if account.consent != "allowed":
            return self._denied(request, 90094 if account.consent == "admin_required" else 53003)
        return self._accepted(request, account)

    def _denied(self, request: AuthorizeRequest, number: int, subcode: str = "") -> Reply:
        answer = {"error": "access_denied", "error_description": sentence_of(number)}
        return self._back(request, {**answer, "error_subcode": subcode} if subcode else answer)

    def _accepted(self, request: AuthorizeRequest, account: Account) -> Reply:
        account.granted.setdefault(request.client_id, set()).update(request.scopes)
        code = Code(
            account=account,
            client_id=request.client_id,
            redirect_uri=request.redirect_uri,
            scopes=request.scopes,
            challenge=request.challenge,
            nonce=request.nonce,
            expires_at=self._world.clock.seconds() + self._world.knobs.code_seconds,
            is_offline="offline_access" in request.scopes,
        )
        text = self._world.tokens["ms365"].add_code(code, opaque("1.A", 400))
        return self._back(request, {"code": text, "session_state": secrets.token_hex(16)})

    def _back(self, request: AuthorizeRequest, answer: dict[str, str]) -> Reply:
        if request.state:
            answer = {**answer, "state": request.state}
        send = self_posting if request.response_mode == "form_post" else redirect
        return send(request.redirect_uri, answer)
