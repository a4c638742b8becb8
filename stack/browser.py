"""A browser for machines: follows redirects with cookies, fills in a provider's consent page, reads the last page."""

import ssl
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Self
from urllib.parse import urlencode, urljoin

import httpx
from typing_extensions import override

TIMEOUT_SECONDS = 20.0
MAX_STEPS = 20


@dataclass
class Form:
    """A form of a page, as a browser would send it."""

    action: str = ""
    fields: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class LastPage:
    """Where a visit ended.

    Attributes:
        url: Its address.
        status: Its HTTP status.
        text: The visible text, in one line.
    """

    url: str
    status: int
    text: str


class Browser:
    """Opens pages like a person with a browser of their own.

    Args:
        authority: A certificate authority to trust beside the system's, PEM.
    """

    def __init__(self, authority: Path | None) -> None:
        context = ssl.create_default_context()
        if authority is not None:
            context.load_verify_locations(authority)
        self._client = httpx.Client(verify=context, timeout=TIMEOUT_SECONDS, follow_redirects=True, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def consent(
        self, url: str, account: str, *, accept: bool = True, without: frozenset[str] = frozenset()
    ) -> LastPage:
        """Opens an address that leads to consent pages, answers them, and returns where it ends.

        Args:
            url: The address from `StartAuthorization`.
            account: Mail address of the account to choose.
            accept: Whether to consent.
            without: Scopes to untick.

        Raises:
            httpx.HTTPError: A page cannot be fetched.
            RuntimeError: The pages do not end.
        """
        answer = self._client.get(url)
        for _ in range(MAX_STEPS):
            page = read_page(answer.text)
            if page.form is None:
                return LastPage(str(answer.url), answer.status_code, page.text)
            data = _filled(page.form, account, accept=accept, without=without)
            encoded = urlencode(data)
            answer = self._client.post(
                urljoin(str(answer.url), page.form.action),
                content=encoded,
                headers={"content-type": "application/x-www-form-urlencoded"},
            )
        raise RuntimeError(f"the pages do not end: {answer.url}")


def _filled(form: Form, account: str, *, accept: bool, without: frozenset[str]) -> list[tuple[str, str]]:
    kept = [(name, value) for name, value in form.fields if name not in ("account", "action")]
    kept = [(name, value) for name, value in kept if not (name == "scope" and value in without)]
    return [*kept, ("account", account), ("action", "accept" if accept else "deny")]


@dataclass
class Page:
    """A page: its first form, and its text."""

    form: Form | None
    text: str


def read_page(markup: str) -> Page:
    """Reads a page's first form and its text."""
    reader = _Reader()
    reader.feed(markup)
    return Page(reader.form, " ".join(" ".join(reader.words).split()))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.form: Form | None = None
        self.words: list[str] = []
        self._is_inside = False
        self._hidden = 0

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag in ("style", "script"):
            self._hidden += 1
        if tag == "form" and self.form is None:
            self.form = Form(attributes.get("action") or "")
            self._is_inside = True
        if tag == "input" and self._is_inside and self.form is not None:
            self._add(self.form, attributes)

    @override
    def handle_endtag(self, tag: str) -> None:
        if tag in ("style", "script"):
            self._hidden -= 1
        if tag == "form":
            self._is_inside = False

    @override
    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)

    @staticmethod
    def _add(form: Form, attributes: dict[str, str | None]) -> None:
        is_choice = attributes.get("type") in ("checkbox", "radio")
        if attributes.get("name") and (not is_choice or "checked" in attributes):
            form.fields.append((attributes["name"] or "", attributes.get("value") or ""))
