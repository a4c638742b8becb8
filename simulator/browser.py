"""A scripted browser: walks from an authorization URL over the consent page to the end of the redirects."""

import ssl
from collections.abc import Collection
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode, urljoin

import httpx

_MAX_PAGES = 5
_TIMEOUT_SECONDS = 20.0


@dataclass(slots=True)
class Form:
    """The first form of a page: its address, and the fields that are filled in or ticked."""

    action: str = ""
    fields: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[str] = field(default_factory=list)


class _FormReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.form: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and self.form is None:
            self.form = Form(given.get("action", ""))
        elif self.form is not None and tag == "input":
            if given.get("type") not in {"radio", "checkbox"} or "checked" in given:
                self.form.fields.append((given.get("name", ""), given.get("value", "")))
        elif self.form is not None and tag == "button" and given.get("name") == "action":
            self.form.buttons.append(given.get("value", ""))


def read_form(markup: str) -> Form | None:
    """Return the first form of a page, or None."""
    reader = _FormReader()
    reader.feed(markup)
    return reader.form


async def consent(
    url: str,
    account: str = "",
    *,
    action: str = "accept",
    untick: Collection[str] = (),
    ca: str | None = None,
    stop_at: str = "",
    client: httpx.AsyncClient | None = None,
) -> httpx.Response:
    """Open ``url`` as a browser would, follow redirects, answer the consent page, and return where it ends.

    Args:
        url: An authorization URL, ours or the provider's.
        account: Address to choose; the page's own choice when empty.
        action: ``accept`` or ``deny``.
        untick: Scopes whose boxes to untick (Google).
        ca: CA file to trust.
        stop_at: Prefix of a URL that is not opened any more, e.g. a redirect URI where no server listens; the answer is
            then the redirect that leads there.
        client: A browser with a past; by default a new one without cookies.

    Raises:
        httpx.HTTPError: A page could not be fetched.
        RuntimeError: The pages do not end.
    """
    if client is not None:
        return await _walk(client, url, account, action, untick, stop_at)
    trust: Any = ssl.create_default_context(cafile=ca) if ca else True
    async with httpx.AsyncClient(verify=trust, timeout=_TIMEOUT_SECONDS, trust_env=False) as fresh:
        return await _walk(fresh, url, account, action, untick, stop_at)


async def _walk(
    client: httpx.AsyncClient, url: str, account: str, action: str, untick: Collection[str], stop_at: str
) -> httpx.Response:
    answer = await _follow(client, await client.get(url, follow_redirects=False), stop_at)
    for _ in range(_MAX_PAGES):
        form = None if answer.has_redirect_location else read_form(answer.text)
        if form is None:
            return answer
        content = urlencode(_filled(form, account, action, untick))
        headers = {"content-type": "application/x-www-form-urlencoded"}
        target = urljoin(str(answer.url), form.action)
        if stop_at and target.startswith(stop_at):
            return answer
        answer = await client.post(target, content=content, headers=headers, follow_redirects=False)
        answer = await _follow(client, answer, stop_at)
    msg = f"the pages do not end: {answer.url}"
    raise RuntimeError(msg)


async def _follow(client: httpx.AsyncClient, answer: httpx.Response, stop_at: str) -> httpx.Response:
    for _ in range(2 * _MAX_PAGES):
        if not answer.has_redirect_location:
            return answer
        target = urljoin(str(answer.url), answer.headers["location"])
        if stop_at and target.startswith(stop_at):
            return answer
        answer = await client.get(target, follow_redirects=False)
    msg = f"the redirects do not end: {answer.url}"
    raise RuntimeError(msg)


def _filled(form: Form, account: str, action: str, untick: Collection[str]) -> list[tuple[str, str]]:
    fields = [(name, value) for name, value in form.fields if not (name == "scope" and value in untick)]
    if account:
        fields = [(name, value) for name, value in fields if name != "account"] + [("account", account)]
    return [*fields, ("action", action)] if form.buttons else fields
