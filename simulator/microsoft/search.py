"""The $search of messages: words and ``property:value`` in the Keyword Query Language, newest mail first."""

import re
from collections.abc import Callable

from simulator.http import NotSimulatedError
from simulator.mailboxes.graph_mail import GraphMail
from simulator.microsoft.errors import graph_error
from simulator.microsoft.render import rendered, text_of

Test = Callable[[GraphMail], bool]
_TOKEN = re.compile(r'\s*(?:(\w+):)?(?:"([^"]*)"|([^\s()"]+))|\s*([()])')


def _people(*names: str) -> Callable[[GraphMail], str]:
    def text(mail: GraphMail) -> str:
        facts = rendered(mail.source).facts
        found = [one for name in names for one in (facts[name] if isinstance(facts[name], list) else [facts[name]])]
        return " ".join(f"{one['emailAddress']['name']} {one['emailAddress']['address']}" for one in found if one)

    return text


def _body(mail: GraphMail) -> str:
    same = rendered(mail.source)
    return text_of(same.body) if same.body_type == "html" else same.body


def _files(mail: GraphMail) -> str:
    return " ".join(attachment.part.filename for attachment in rendered(mail.source).attachments)


_TO, _ALL = ("toRecipients",), ("from", "toRecipients", "ccRecipients", "bccRecipients")
_TEXTS: dict[str, Callable[[GraphMail], str]] = {
    "from": _people("from"),
    "to": _people(*_TO),
    "cc": _people("ccRecipients"),
    "bcc": _people("bccRecipients"),
    "participants": _people(*_ALL),
    "recipients": _people(*_ALL[1:]),
    "subject": lambda mail: mail.source.subject,
    "body": _body,
    "attachment": _files,
    "importance": lambda mail: mail.importance,
    "hasattachments": lambda mail: str(rendered(mail.source).facts["hasAttachments"]),
}
_EVERYWHERE = ("from", "subject", "body")


def read_search(text: str) -> Test:
    """Read a $search; the outer quotes are OData's, inner ones are escaped by a backslash.

    Raises:
        ApiError: 400, it is malformed.
        NotSimulatedError: It names a property that the simulator does not know.
    """
    inner = text.strip()
    if len(inner) >= 2 and inner[0] == inner[-1] == '"':
        inner = inner[1:-1].replace('\\"', '"')
    alternatives: list[list[Test]] = [[]]
    is_negated = False
    at = 0
    while at < len(inner.rstrip()):
        match = _TOKEN.match(inner, at)
        if match is None:
            raise graph_error(400, "BadRequest", f"Syntax error in $search: {inner[at:]}")
        at = match.end()
        name, quoted, word, sign = match.groups()
        if sign:
            raise NotSimulatedError("parentheses in $search")
        if not name and word in {"AND", "OR", "NOT"}:
            is_negated = word == "NOT"
            if word == "OR":
                alternatives.append([])
            continue
        test = _test(name or "", quoted if quoted is not None else word)
        alternatives[-1].append(_not(test) if is_negated else test)
        is_negated = False
    return lambda mail: any(all(test(mail) for test in tests) for tests in alternatives)


def _not(test: Test) -> Test:
    return lambda mail: not test(mail)


def _test(name: str, value: str) -> Test:
    if name and name.lower() not in _TEXTS:
        raise NotSimulatedError(f"the property {name} in $search")
    sources = [_TEXTS[name.lower()]] if name else [_TEXTS[key] for key in _EVERYWHERE]
    wanted = value.rstrip("*").lower()
    return lambda mail: any(wanted in source(mail).lower() for source in sources)
