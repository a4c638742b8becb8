"""Address lists as senders write them."""

from email.utils import formataddr, getaddresses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.message import addresses
from services.message.addresses import MAX_LIST_CHARACTERS, parse_addresses

Parsed = list[tuple[str, str, str]]


def parsed(value: str) -> Parsed:
    return [(address.address, address.name, address.group) for address in parse_addresses(value)]


@pytest.mark.parametrize(("value", "expected"), [
    ("Anna <a@b.example>, ben@c.example", [("a@b.example", "Anna", ""), ("ben@c.example", "", "")]),
    ('"Doe, John" <j@x.example>', [("j@x.example", "Doe, John", "")]),
    ('"quoted \\"inner\\" name" <j@x.example>', [("j@x.example", 'quoted "inner" name', "")]),
    ("j@x.example (John Doe)", [("j@x.example", "John Doe", "")]),
    ("John (the (real) one) <j@x.example>", [("j@x.example", "John", "")]),
    ("=?utf-8?q?J=C3=B6rg?= <j@x.example>", [("j@x.example", "Jörg", "")]),
    ('"=?utf-8?b?SsO2cmc=?=" <j@x.example>', [("j@x.example", "Jörg", "")]),
    ("=?utf-8?q?M=C3=BCller=2C_J=C3=B6rg?= <j@x.example>", [("j@x.example", "Müller, Jörg", "")]),
    ("Board: a@b.example, Ben <b@c.example>; other@d.example", [
        ("a@b.example", "", "Board"), ("b@c.example", "Ben", "Board"), ("other@d.example", "", ""),
    ]),
    ("undisclosed-recipients:;", []),
    ("用户 <用户@例子.example>", [("用户@例子.example", "用户", "")]),
    ('"j@x.example" <j@x.example>', [("j@x.example", "", "")]),
    ("'j@x.example' <j@x.example>", [("j@x.example", "", "")]),
    ("just a name", [("", "just a name", "")]),
    ("a@b.example; c@d.example", [("a@b.example", "", ""), ("c@d.example", "", "")]),
    ("<a@b.example", [("a@b.example", "", "")]),
    ("a@b.example>", [("a@b.example", "", "")]),
    ("John Doe j@x.example", [("j@x.example", "John Doe", "")]),
    ("<@relay.example:j@x.example>", [("j@x.example", "", "")]),
    ("< j @ x.example >", [("j@x.example", "", "")]),
    ('"john doe"@x.example', [('"john doe"@x.example', "", "")]),
    ("j@[IPv6:2001:db8::1]", [("j@[IPv6:2001:db8::1]", "", "")]),
    ("mailto:j@x.example", [("j@x.example", "", "")]),
    ('"not closed <a@b.example>, c@d.example', [("a@b.example", '"not closed', ""), ("c@d.example", "", "")]),
    ("(not closed a@b.example, c@d.example", [("a@b.example", "(not closed", ""), ("c@d.example", "", "")]),
    (",,  ,", []),
    ("", []),
])  # fmt: skip
def test_a_list_gives_its_addresses(value: str, expected: Parsed) -> None:
    assert expected == parsed(value)


NAMES = st.text(alphabet="abcABC äöü,;:<>()\"'@.\\", max_size=12)
LOCALS = st.text(alphabet="abc.+-_0", min_size=1, max_size=8)


@given(st.lists(st.tuples(NAMES, LOCALS), max_size=5))
def test_what_the_standard_library_writes_is_read_back(people: list[tuple[str, str]]) -> None:
    written = ", ".join(formataddr((name, f"{local}@x.example")) for name, local in people)

    assert [(f"{local}@x.example", _shown(name, local)) for name, local in people] == [
        (address, name) for address, name, _ in parsed(written)
    ]


def _shown(name: str, local: str) -> str:
    shown = " ".join(name.split())
    return "" if shown.strip("'\"").casefold() == f"{local}@x.example" else shown


@given(st.lists(st.tuples(st.text(alphabet="abc ", max_size=8), LOCALS), min_size=1, max_size=5))
def test_plain_lists_are_read_as_the_standard_library_reads_them(people: list[tuple[str, str]]) -> None:
    written = ", ".join(f"{name} <{local}@x.example>" for name, local in people)

    assert [(address, " ".join(name.split())) for name, address in getaddresses([written])] == [
        (address, name) for address, name, _ in parsed(written)
    ]


_PIECES = (
    "Ada", "O'Brien", "'x'", "a@b.example", "<a@b.example>", "<j-d+x@Mail.Example.com>", ", ", ",", " ", '"Doe, John" ',
    '"', '""', ".", "-", "_", "&", "x.y@z", "@", "<", ">", "a@b.", ".a@b", "=?utf-8?q?x?=", "\t", ":", ";", "(", "é",
)  # fmt: skip


@given(st.lists(st.sampled_from(_PIECES), max_size=8).map("".join))
def test_usual_forms_are_read_as_the_whole_grammar_reads_them(value: str) -> None:
    plain = addresses._plain(value)

    assert plain is None or plain == addresses._parsed(value, MAX_LIST_CHARACTERS)


@pytest.mark.parametrize(
    ("value", "count"),
    [
        ("Ada Lovelace <ada@x.example>", 1),
        ('"Lovelace, Ada" <ada@x.example>, ben@y.example,cy@z.example', 3),
        ("<ada@x.example>", 1),
        ("", 0),
    ],
)
def test_usual_forms_need_no_grammar(value: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(addresses, "_List")

    assert count == len(parse_addresses(value))
    assert parse_addresses(value)[:1] == parse_addresses(value, 1)
