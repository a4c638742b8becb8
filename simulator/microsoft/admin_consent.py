"""The page on which an administrator admits an app to the whole organisation."""

import html

from simulator.flows import AuthorizeRequest, Flows, allows_redirect
from simulator.http import Call, Operations, Reply
from simulator.microsoft.errors import sentence_of
from simulator.pages import accounts_field, buttons, form, hidden, page, problem, redirect
from simulator.state import World


class AdminConsent:
    """Admits apps. A refusal has `admin_consent=True` too, as in life."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._flows = Flows()

    def register(self, operations: Operations) -> None:
        """Add the pages to the provider's table."""
        operations.add("ms.adminconsent", "GET", "/{tenant}/v2.0/adminconsent", self.ask, is_api=False)
        operations.add("ms.adminconsent.answer", "POST", "/{tenant}/adminconsent", self.answer, is_api=False)

    def ask(self, call: Call) -> Reply:
        """Show the page, or a problem where no page can help."""
        request = AuthorizeRequest.read(call, call.params["tenant"])
        client = self._world.clients["ms365"].get(request.client_id)
        people = [one for one in self._world.accounts["ms365"] if one.directory == request.tenant]
        if client is None:
            return problem("Sign in", sentence_of(700016, request.client_id))
        if not allows_redirect(client, request.redirect_uri):
            return problem("Sign in", sentence_of(50011, request.redirect_uri))
        if not people:
            return problem("Sign in", sentence_of(90002, request.tenant))
        if not any(scope.endswith("/.default") for scope in request.scopes):
            return problem("Sign in", sentence_of(70011, " ".join(request.scopes)))
        inner = (
            hidden("flow", self._flows.begin(request))
            + accounts_field(((one.principal, one.name) for one in people), "")
            + f"<p>mailmesh asks for:</p><ul>{''.join(f'<li>{html.escape(one)}</li>' for one in client.app_roles)}</ul>"
            + buttons("Accept", "Cancel")
        )
        return page("Permissions requested for your organization", form(f"/{request.tenant}/adminconsent", inner))

    def answer(self, call: Call) -> Reply:
        """Take the administrator's answer and send the browser back."""
        fields = call.form()
        request = self._flows.take(fields.get("flow", ""))
        if request is None:
            return problem("Sign in", "This page is no longer valid. Begin again.")
        account = self._world.accounts["ms365"].find(fields.get("account", ""))
        back = {"admin_consent": "True", "state": request.state}
        if fields.get("action") != "accept":
            return redirect(
                request.redirect_uri, {"error": "access_denied", "error_description": sentence_of(65004)} | back
            )
        if account is None or account.directory != request.tenant:
            return problem("Sign in", sentence_of(50034, fields.get("account", "")))
        call.account = account
        if account.consent != "allowed":
            return redirect(
                request.redirect_uri, {"error": "access_denied", "error_description": sentence_of(90094)} | back
            )
        client = self._world.clients["ms365"][request.client_id]
        self._world.app_consents[(client.client_id, request.tenant)] = client.app_roles
        return redirect(request.redirect_uri, back | {"tenant": request.tenant, "scope": " ".join(request.scopes)})
