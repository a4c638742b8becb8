"""Divide text into words that compare alike in all languages: pure, and linear in the length of the text.

Case, accents, width and invisible characters do not count (Unicode NFKC and case folding, UAX #15 and #44). Scripts
that write no spaces between words become overlapping pairs of characters, so that every part of such a text is found.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache

MAX_CHARACTERS = 64
"""Longer words are cut, in mail and in queries alike."""

# Thai, Lao, Myanmar, Hangul, Khmer, and the scripts of Chinese and Japanese without their punctuation.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3031-\u3035\u3041-\u309f"
    "\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f\u3131-\u318e\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
)
# Vowel signs of Indian scripts are marks, which belong to their word.
_SIGNS = "\u0900-\u0963\u0966-\u0dff"
# Accents, points of Hebrew and Arabic, joiners, soft hyphens and variation selectors stand within words and go.
_WITHIN = (
    "\u00ad\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0640\u064b-\u065f\u0670\u200b-\u200f\u202a-\u202e"
    "\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff"
)
_ASCII = re.compile("[0-9a-z]+")
_CHUNK = re.compile(f"[\\w{_SIGNS}{_WITHIN}]+")
_PART = re.compile(f"(?P<unspaced>[{_UNSPACED}]+)|(?:(?![{_UNSPACED}])[^\\W_]|[{_SIGNS}])+")
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_LETTERS = {"ł": "l", "ø": "o", "đ": "d", "ħ": "h", "\u0131": "i", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d", "ŋ": "n"}
_DROPPED = re.compile(f"[{_WITHIN}]")


def words(text: str) -> list[str]:
    """Return the words of a text, in order."""
    if text.isascii():
        return [word[:MAX_CHARACTERS] for word in _ASCII.findall(text.lower())]
    return [word for word, _, _ in placed_words(text)]


def placed_words(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield the words of a text, each with the positions of its first character and after its last one.

    The last character of a run without spaces is a word of its own, behind the pairs.
    """
    if text.isascii():
        for part in _ASCII.finditer(text.lower()):
            yield part.group()[:MAX_CHARACTERS], part.start(), part.end()
        return
    for chunk in _CHUNK.finditer(text):
        start, given = chunk.start(), chunk.group()
        if given.isascii():
            for part in _ASCII.finditer(given.lower()):
                yield part.group()[:MAX_CHARACTERS], start + part.start(), start + part.end()
            continue
        folded = fold(given)
        # Folding may change the length: then all words of the chunk stand at its place.
        is_exact = len(folded) == len(given)
        for part in _PART.finditer(folded):
            found = part.group()
            first, last = (start + part.start(), start + part.end()) if is_exact else (start, chunk.end())
            if part.lastgroup != "unspaced":
                yield found[:MAX_CHARACTERS], first, last
                continue
            for place in range(len(found)):
                place_last = min(first + place + 2, last) if is_exact else last
                yield found[place : place + 2], first + place if is_exact else first, place_last


def fold(text: str) -> str:
    """Return text in the form in which it is compared."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    bare = _DROPPED.sub("", unicodedata.normalize("NFD", plain))
    return unicodedata.normalize("NFC", bare.translate(_table()))


def is_unspaced(word: str) -> bool:
    """Tell whether a word is a part of a text without spaces."""
    return _IS_UNSPACED.match(word) is not None


@cache
def _table() -> dict[int, str]:
    return str.maketrans(_LETTERS)
