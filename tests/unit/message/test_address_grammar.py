"""Address lists from a generator of RFC 5322's grammar, with comments and folding, and the same lists broken."""

import random
import re

import pytest

from services.message.addresses import parse_addresses

LISTS = 1500
ATOM = "abcXYZ019!#$%&'*+-/=?^_`{|}~"
BREAKS = "@<>,;: ."
INSIDE_COMMENTS = ["x", " ", "\\)", "\\(", "<a@b.example>", ",", ";", ":", '"', "a@b.example"]
INSIDE_QUOTES = ["a", " ", '\\"', "\\\\", ",", "@", "<", ">", "(", ")", ";", ":", "."]


class Grammar:
    """RFC 5322 sections 3.2, 3.4 and 4.4: each method returns a piece of text; `mailbox` also says what it means."""

    def __init__(self, seed: int, *, has_comments: bool = True, has_quotes: bool = True) -> None:
        self.chance = random.Random(seed)
        self._has_comments, self._has_quotes = has_comments, has_quotes

    def atom(self) -> str:
        return "".join(self.chance.choices(ATOM, k=self.chance.randint(1, 6)))

    def comment(self, depth: int = 0) -> str:
        inner = [
            self.comment(depth + 1) if depth < 2 and self.chance.random() < 0.1 else self.chance.choice(INSIDE_COMMENTS)
            for _ in range(self.chance.randint(0, 4))
        ]
        return f"({''.join(inner)})"

    def cfws(self) -> str:
        made = ""
        while self.chance.random() < 0.3:
            made += self.chance.choice([" ", "\t", f" {self.comment()} "] if self._has_comments else [" ", "\t"])
        return made

    def quoted(self) -> str:
        return f'"{"".join(self.chance.choices(INSIDE_QUOTES, k=self.chance.randint(0, 6)))}"'

    def dotted(self, words: list[str]) -> tuple[str, str]:
        text, place = words[0], "."
        for word in words[1:]:
            place = "." if self.chance.random() < 0.6 else f"{self.cfws()}.{self.cfws()}"
            text += place + word
        return f"{self.cfws()}{text}{self.cfws()}", ".".join(words)

    def address(self) -> tuple[str, str]:
        words = [self.atom() for _ in range(self.chance.randint(1, 3))]
        local = self.dotted([self.quoted()] if self._has_quotes and self.chance.random() < 0.2 else words)
        labels = ["".join(self.chance.choices("abc019-", k=3)) for _ in range(self.chance.randint(1, 3))]
        domain = self.dotted(["[192.0.2.1]"] if self.chance.random() < 0.15 else labels)
        return f"{local[0]}@{domain[0]}", f"{local[1]}@{domain[1]}"

    def phrase(self) -> str:
        makers = [self.atom, lambda: "=?utf-8?q?K=C3=BCm?=", *([self.quoted] if self._has_quotes else [])]
        return " ".join(self.chance.choice(makers)() for _ in range(self.chance.randint(1, 3)))

    def mailbox(self) -> tuple[str, str]:
        text, meant = self.address()
        if self.chance.random() < 0.4:
            return text, meant
        name = self.phrase() if self.chance.random() < 0.8 else ""
        return f"{self.cfws()}{name}{self.cfws()}<{text}>{self.cfws()}", meant

    def group(self, text: str) -> str:
        return f"{self.cfws()}{self.atom()}{self.cfws()}:{text};" if self.chance.random() < 0.15 else text


@pytest.mark.parametrize("seed", [1, 2])
def test_a_valid_list_gives_each_of_its_addresses(seed: int) -> None:
    grammar = Grammar(seed)
    for _ in range(LISTS):
        mailboxes = [grammar.mailbox() for _ in range(grammar.chance.randint(1, 3))]
        source = grammar.group(grammar.chance.choice([",", ", ", ", ,"]).join(text for text, _ in mailboxes))

        assert [meant for _, meant in mailboxes] == [found.address for found in parse_addresses(source)], source


@pytest.mark.parametrize("seed", [3, 4])
def test_a_broken_list_gives_no_address_that_does_not_stand_there(seed: int) -> None:
    """An address out of a broken list stands in it as a whole: no dot and no at sign goes on before or behind it."""
    grammar = Grammar(seed, has_comments=False, has_quotes=False)
    for _ in range(LISTS):
        source = ", ".join(grammar.mailbox()[0] for _ in range(2))
        for _ in range(grammar.chance.randint(1, 3)):
            place = grammar.chance.randrange(len(source))
            source = source[:place] + grammar.chance.choice(BREAKS) + source[place + grammar.chance.randint(0, 1) :]
        bare = re.sub(r"\s*([@.])\s*", r"\1", source)
        for found in parse_addresses(source):
            place = rf"(?<![@.\\]){re.escape(found.address)}(?![@])"
            assert not found.address or re.search(place, bare), (source, found.address)


@pytest.mark.parametrize(("value", "expected"), [
    ("ki(m@post.example", [("", "ki(m@post.example")]), ("ki<m@post.example", [("", "ki<m@post.example")]),
    ("kim@po(st.example", [("", "kim@po(st.example")]), ("kim@<post.example", [("", "kim@<post.example")]),
    ("Kim <kim@post(see <a@b.example>).example>", [("kim@post.example", "Kim")]),
    ('Kim <"<b>"@post.example>', [('"<b>"@post.example', "Kim")]),
    ("kim. @ post c@d.example e@", [("", "kim. @ post c@d.example e@")]),
    ("kim@post.example\x01", [("", "kim@post.example\x01")]),
    ("<=?utf-8?q?kim=40post=2Eexample?=>", [("", "kim@post.example")]),  # RFC 2047 5 allows no encoded word there
])  # fmt: skip
def test_marks_that_are_not_closed_belong_to_the_text(value: str, expected: list[tuple[str, str]]) -> None:
    """RFC 5322 3.2.2 and 3.4; text is never taken out of the middle of an address."""
    assert expected == [(found.address, found.name) for found in parse_addresses(value)]
