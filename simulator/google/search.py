"""Gmail's search: operators, OR, AND, braces, parentheses, negation, over the mailbox from the newest mail on.

Dates without a time are midnight in the Pacific zone, as at Gmail.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from simulator.google.errors import api_error
from simulator.google.terms import Test, any_of, negated, term, words
from simulator.mailboxes.gmail import GmailMailbox
from simulator.mailboxes.gmail_mail import GmailMail

_HIDDEN = frozenset({"SPAM", "TRASH"})
_SHOWS_HIDDEN = re.compile(
    r"(?<![-\w])(?:in:(?:anywhere|trash|spam)|label:(?:trash|spam)|is:(?:trash|spam))\b", re.IGNORECASE
)
_CLOSING = {"(": ")", "{": "}"}


@dataclass(frozen=True, slots=True)
class Search:
    """A search that was read; ``after_ms`` lets the walk end early."""

    test: Test
    labels: frozenset[str]
    includes_trash: bool
    after_ms: int = 0

    @classmethod
    def read(cls, query: str, labels: list[str], *, includes_trash: bool) -> "Search":
        """Read a query.

        Raises:
            ApiError: 400, a value is malformed.
            NotSimulatedError: The query has an operator or value that the simulator does not know.
        """
        shows_hidden = bool(_SHOWS_HIDDEN.search(query)) or bool(_HIDDEN & set(labels))
        reader = _Reader(query)
        test = reader.group("")
        return cls(test, frozenset(labels), includes_trash or shows_hidden, _after(query))

    def only(self, labels: Iterable[str]) -> "Search":
        """Return the search among mails with these labels too."""
        return replace(self, labels=self.labels | frozenset(labels))

    def page(self, mailbox: GmailMailbox, token: str, size: int) -> tuple[list[GmailMail], str]:
        """Return one page of mails, newest first, and the token of the next, empty at the end."""
        start = _position(token) if token else None
        found: list[GmailMail] = []
        last = (0, 0)
        for position in mailbox.timeline.newest_first(start):
            if position[0] < self.after_ms:
                break
            mail = mailbox.mails[position[1]]
            if not self.matches(mail, mailbox):
                continue
            if len(found) == size:
                return found, f"{last[0]:020d}{last[1]}"
            found.append(mail)
            last = position
        return found, ""

    def matches(self, mail: GmailMail, mailbox: GmailMailbox) -> bool:
        """Return whether a mail passes."""
        if not mailbox.is_listed(mail) or (not self.includes_trash and _HIDDEN & mail.labels):
            return False
        return self.labels <= mail.labels and self.test(mail, mailbox)


def _after(query: str) -> int:
    """Return a bound that must hold: ``after:`` with seconds, in a query without alternatives and negation."""
    if re.search(r"\bOR\b|[|{]|-\s*[(a-z]", query):
        return 0
    return max((int(seconds) * 1000 for seconds in re.findall(r"\bafter:(\d+)(?![\d/-])", query)), default=0)


def _position(token: str) -> tuple[int, int]:
    if not token.isdecimal() or len(token) < 21:
        raise api_error(400, "invalidArgument", "Invalid pageToken")
    return int(token[:20]), int(token[20:])


class _Reader:
    """Reads a query from left to right; parentheses hold all of their terms, braces any of them."""

    def __init__(self, query: str) -> None:
        self._tokens = words(query)
        self._at = 0

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def group(self, closing: str, name: str = "") -> Test:
        """Read terms up to a closing sign; OR joins its two neighbours, as at Gmail."""
        factors: list[list[Test]] = []
        is_alternative = False
        while self._peek() not in (closing, ""):
            if self._peek() in {"OR", "|"}:
                self._take()
                is_alternative = True
                continue
            if self._peek() == "AND":
                self._take()
                continue
            found = self._one(name)
            if is_alternative and factors:
                factors[-1].append(found)
            else:
                factors.append([found])
            is_alternative = False
        if closing:
            if not self._peek():
                raise api_error(400, "invalidArgument", f"The query lacks a {closing}")
            self._take()
        tests = [any_of(tests) for tests in factors]
        if closing == "}":
            return any_of(tests)
        return lambda mail, box: all(test(mail, box) for test in tests)

    def _one(self, name: str) -> Test:
        text = self._take()
        if text == "-":
            return negated(self._one(name))
        if text in _CLOSING:
            return self.group(_CLOSING[text], name)
        if text.endswith(":") and self._peek() in _CLOSING:
            return self.group(_CLOSING[self._take()], text[:-1])
        return term(text, name)
