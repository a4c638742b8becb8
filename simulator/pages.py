"""The pages of sign-in and consent: plain forms without scripts, for people and for scripted browsers."""

import html
from collections.abc import Iterable, Mapping
from urllib.parse import urlencode, urlsplit, urlunsplit

from simulator.http import Reply

_STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:32em;margin:4em auto;padding:0 1em}"
    "label{display:block}button{margin:1em 1em 0 0;padding:.4em 1.2em}"
)


def page(title: str, body: str, status: int = 200) -> Reply:
    """Return an HTML page; ``body`` is markup."""
    heading = html.escape(title)
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{heading}</title><style>{_STYLE}</style>"
    markup = f"{head}<h1>{heading}</h1>{body}</html>"
    return Reply(status, markup, {"cache-control": "no-store", "x-frame-options": "DENY"})


def problem(title: str, sentence: str, status: int = 400) -> Reply:
    """Return a page that names a failure, for requests whose redirect address cannot be trusted."""
    return page(title, f"<p id=error>{html.escape(sentence)}</p>", status)


def redirect(url: str, parameters: Mapping[str, str]) -> Reply:
    """Return a redirect with parameters joined to whatever query the URL has."""
    return Reply(302, b"", {"location": joined(url, parameters), "cache-control": "no-store"})


def joined(url: str, parameters: Mapping[str, str]) -> str:
    """Return a URL with more query parameters."""
    parts = urlsplit(url)
    query = "&".join(piece for piece in (parts.query, urlencode(parameters)) if piece)
    return urlunsplit(parts._replace(query=query))


def self_posting(url: str, parameters: Mapping[str, str]) -> Reply:
    """Return a page that posts its fields, for ``response_mode=form_post``."""
    return page(
        "Working...", form(url, "".join(hidden(*pair) for pair in parameters.items()) + "<button>Continue</button>")
    )


def form(action: str, inner: str) -> str:
    """Return a form that posts; ``inner`` is markup."""
    return f'<form method="post" action="{html.escape(action)}">{inner}</form>'


def hidden(name: str, value: str) -> str:
    """Return a hidden field."""
    return f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'


def accounts_field(accounts: Iterable[tuple[str, str]], chosen: str) -> str:
    """Return a choice of accounts from (address, name) pairs; a text field when there are too many to list."""
    pairs = list(accounts)
    if len(pairs) > 50 or not pairs:
        return f'<label>Account <input name="account" value="{html.escape(chosen)}"></label>'
    chosen = chosen if any(address.lower() == chosen.lower() for address, _ in pairs) else pairs[0][0]
    return "".join(_choice(address, name, is_chosen=address.lower() == chosen.lower()) for address, name in pairs)


def _choice(address: str, name: str, *, is_chosen: bool) -> str:
    field = f'<input type="radio" name="account" value="{html.escape(address)}"{" checked" if is_chosen else ""}>'
    return f"<label>{field} {html.escape(name)} &lt;{html.escape(address)}&gt;</label>"


def text_field(title: str, name: str, value: str) -> str:
    """Return a field for a line of text."""
    shown = f'<input name="{html.escape(name)}" value="{html.escape(value)}">'
    return f"<label>{html.escape(title)} {shown}</label>"


def scope_field(scope: str) -> str:
    """Return a ticked box for a scope."""
    return (
        f'<label><input type="checkbox" name="scope" value="{html.escape(scope)}" checked> {html.escape(scope)}</label>'
    )


def buttons(accept: str, deny: str) -> str:
    """Return the two buttons of a consent page."""
    return f'<button name="action" value="accept">{accept}</button><button name="action" value="deny">{deny}</button>'
