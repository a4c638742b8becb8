"""Read a query, and judge mails by it: pure, bounded, and linear in the text of a mail."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mailmesh.mail.v1 import message_pb2
from services.processor.search.errors import SearchQueryInvalid
from services.processor.search.terms import BEGINNINGS, WORD, beginning, texts
from services.processor.search.words import is_unspaced, words

MAX_CHARACTERS = 500
MAX_PHRASES = 20
MAX_WORDS = 64
_PIECE = re.compile(r'(-?)(?:"([^"]*)"|([^\s"]+))')
_QUOTES = str.maketrans("“”„«»", '"' * 5)
_GAP = ""
"""Stands between two texts of a mail, so that no phrase lies in both."""


@dataclass(frozen=True)
class Phrase:
    """Words that follow each other.

    Args:
        words: The words.
        is_open: Whether the last one may go on.
        is_excluded: Whether a mail must not have them.
    """

    words: Sequence[str]
    is_open: bool = False
    is_excluded: bool = False

    def terms(self) -> list[str]:
        """Return the terms that every mail with the phrase has."""
        if not self.is_open:
            return [WORD + word for word in self.words]
        return [*(WORD + word for word in self.words[:-1]), beginning(self.words[-1])]

    def exact_term(self) -> str | None:
        """Return the term that exactly the mails with the phrase have; None where there is no such term."""
        if len(self.words) != 1:
            return None
        (term,) = self.terms()
        return term if len(term) == len(self.words[0]) + 1 else None

    def fits(self, word: str, place: int) -> bool:
        """Tell whether a word fits the place of the phrase."""
        wanted = self.words[place]
        return word.startswith(wanted) if self.is_open and place == len(self.words) - 1 else word == wanted


@dataclass(frozen=True)
class Query:
    """A query.

    Args:
        phrases: The phrases that a mail must have.
        excluded: The phrases that it must not have.
    """

    phrases: Sequence[Phrase] = ()
    excluded: Sequence[Phrase] = ()

    def terms(self) -> set[str]:
        """Return the terms that every mail of the result has."""
        return {term for phrase in self.phrases for term in phrase.terms()}

    def excluded_terms(self) -> set[str]:
        """Return terms that no mail of the result has. Phrases without such a term are left to `takes`."""
        return {term for phrase in self.excluded if (term := phrase.exact_term()) is not None}

    def takes(self, message: message_pb2.MailMessage) -> bool:
        """Tell whether a mail belongs to the result."""
        if not self.phrases and not self.excluded:
            return True
        sequence: list[str] = []
        for text in texts(message):
            sequence += words(text)
            sequence.append(_GAP)
        known = set(sequence)
        return all(_has(one, sequence, known) for one in self.phrases) and not any(
            _has(one, sequence, known) for one in self.excluded
        )


def read_query(text: str) -> Query:
    """Read a query of a caller.

    Raises:
        SearchQueryInvalid: It has no word to find, too many of them, or a beginning that is too short.
    """
    phrases = [one for piece in _PIECE.finditer(text.translate(_QUOTES)) if (one := _phrase(piece)) is not None]
    if len(phrases) > MAX_PHRASES or sum(len(one.words) for one in phrases) > MAX_WORDS:
        raise _invalid(f"must not have more than {MAX_PHRASES} terms and {MAX_WORDS} words")
    wanted = [one for one in phrases if not one.is_excluded]
    if text.strip() and not wanted:
        raise _invalid("must have a word that mails have")
    return Query(wanted, [one for one in phrases if one.is_excluded])


def _phrase(piece: "re.Match[str]") -> Phrase | None:
    is_quoted = piece[2] is not None
    text = piece[2] if is_quoted else piece[3]
    found = words(text)
    if not found:
        return None
    # The last character of a run without spaces is no word of its own where the run goes on in the mail.
    if len(found) > 1 and _is_end_of_run(found[-2], found[-1]):
        found.pop()
    is_open = _is_single(found[-1]) or (not is_quoted and text.endswith("*") and not is_unspaced(found[-1]))
    if is_open and not is_unspaced(found[-1]) and len(found[-1]) < BEGINNINGS[0]:
        raise _invalid(f"must have at least {BEGINNINGS[0]} letters or digits before *")
    return Phrase(found, is_open, bool(piece[1]))


def _is_end_of_run(before: str, last: str) -> bool:
    return _is_single(last) and is_unspaced(before) and len(before) > 1 and before.endswith(last)


def _is_single(word: str) -> bool:
    return len(word) == 1 and is_unspaced(word)


def _has(phrase: Phrase, sequence: Sequence[str], known: set[str]) -> bool:
    length = len(phrase.words)
    closed = phrase.words[:-1] if phrase.is_open else phrase.words
    if not known.issuperset(closed):
        return False
    if length == 1:
        return not phrase.is_open or any(word.startswith(phrase.words[0]) for word in known)
    return any(
        place + length <= len(sequence) and all(phrase.fits(sequence[place + step], step) for step in range(1, length))
        for place in _places(phrase.words[0], sequence)
    )


def _places(word: str, sequence: Sequence[str]) -> Iterator[int]:
    """Yield the places of a word."""
    place = -1
    for _ in range(sequence.count(word)):
        place = sequence.index(word, place + 1)
        yield place


def _invalid(description: str) -> SearchQueryInvalid:
    return SearchQueryInvalid(violations={"query": description})
