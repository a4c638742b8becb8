"""The page behind a link to connect an account. Its button uses the ticket up: previews of links do not press it."""

import html

from services.providers.names import COMPANIES, PRODUCTS
from services.token_vault.accounts.flow_steps import Offered
from services.token_vault.accounts.result_pages import POLICY, PRIVATE, document

HEADERS = (("content-security-policy", POLICY), *PRIVATE)
"""Headers of the page. A rule for forms would hold for the provider's own redirects too, which may go anywhere."""


def render(offered: Offered, ticket: str) -> bytes:
    """Write the page as HTML. Its form holds the ticket, and the proof that the form is of this browser's page."""
    product, company = (html.escape(names.get(offered.provider, offered.provider)) for names in (PRODUCTS, COMPANIES))
    return document(
        f"Connect your {product} account",
        "ask",
        f"<p>mailmesh asks for access to the mail of your {product} account. On the next page, sign in at {company} and"
        " agree to the request. mailmesh never sees your password.</p>"
        '<form method="post" action="authorize">'
        f'<input type="hidden" name="ticket" value="{html.escape(ticket)}">'
        f'<input type="hidden" name="proof" value="{html.escape(offered.proof)}">'
        f"<button>Continue to {company}</button></form>"
        "<p>The link works once, for ten minutes. If you did not expect it, close this page: mailmesh has no"
        " access yet.</p>",
    )
