"""Queries: what they find, what they refuse, and that hostile ones cost little."""

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.meshkit.errors import InvalidArgument
from services.processor.search.errors import SearchQueryInvalid
from services.processor.search.query import MAX_CHARACTERS, MAX_PHRASES, MAX_WORDS, Query, read_query
from services.processor.search.terms import KEY_BYTES, MAX_TERMS, Digests, fields_of, plain, terms_of
from tests.unit.processor.search.mails import mail

MAIL = mail(
    "Dear Müller, your invoice INV-2026-0042 over 1,234.56 € is due. 木曜日で大丈夫です。Rechnungsbetrag folgt.",
    "Payment reminder",
    "john.doe+news@mail.example.com",
    ["desk@localhost"],
    ["Angebot_März.pdf"],
)


@pytest.mark.parametrize(
    "query",
    [
        "invoice",
        "INVOICE muller",
        "MÜLLER",
        "INV-2026-0042",
        "0042",
        "1,234.56",
        '"invoice inv"',
        "“your invoice”",
        "rechnung*",
        "rech*",
        "reminder payment",
        "木曜日",
        "曜日",
        "木",
        "す",
        "大丈夫です",
        "john.doe+news@mail.example.com",
        "doe example.com",
        "desk@localhost",
        "angebot marz",
        "Angebot_März.pdf",
        "invoice -credit",
        "inv*",
        '"2026 004*"  invoice'.replace("004*", "0042"),
        "",
        "   ",
    ],
)
def test_a_query_finds_the_mail(query: str) -> None:
    read = read_query(query)

    assert read.terms() <= terms_of(MAIL)
    assert read.takes(MAIL)


@pytest.mark.parametrize(
    "query",
    [
        "credit",
        "invoic",
        "rechnungsbetraege*",
        "INV-2026-0043",
        '"invoice your"',
        '"due reminder"',
        "木曜月",
        "日木",
        "月",
        "invoice -muller",
        '-"your invoice" due',
        "-木曜 invoice",
        "reminder*due",
    ],
)
def test_a_query_does_not_find_the_mail(query: str) -> None:
    read = read_query(query)

    assert not (read.terms() <= terms_of(MAIL) and read.takes(MAIL))


@pytest.mark.parametrize(
    "query", ["-invoice", "!!!", "***", '""', "ab*", "a*", "word " * (MAX_PHRASES + 1), "😀", "- -"]
)
def test_a_query_without_words_or_with_too_many_is_refused(query: str) -> None:
    with pytest.raises(SearchQueryInvalid) as caught:
        read_query(query)

    assert ("SEARCH_QUERY_INVALID", {"field": "query"}) == (caught.value.reason, caught.value.metadata)
    assert isinstance(caught.value, InvalidArgument)


@given(st.text(max_size=80), st.text(st.sampled_from("abcdeé東京都 -.*"), max_size=20))
def test_exactly_the_mails_with_an_excluded_word_have_its_term(text: str, excluded: str) -> None:
    for given_mail in (mail(text), mail(f"{text} {excluded}")):
        for piece in excluded.split():
            try:
                phrases = read_query(f"{piece} -{piece}").excluded
            except SearchQueryInvalid:
                continue
            for phrase in phrases:
                if (term := phrase.exact_term()) is not None:
                    assert (term in terms_of(given_mail)) is Query((replace(phrase, is_excluded=False),)).takes(
                        given_mail
                    )


def test_a_longer_beginning_and_a_phrase_have_no_exact_term() -> None:
    excluded = read_query('all -word -beg* -begi* -begin* -"two words" -木 -木曜').excluded

    assert ["wword", "pbeg", None, "pbegin", None, "p木", "w木曜"] == [one.exact_term() for one in excluded]


@given(st.text(max_size=MAX_CHARACTERS))
def test_any_query_is_read_or_refused_by_name(text: str) -> None:
    try:
        read = read_query(text)
    except SearchQueryInvalid:
        return

    assert len([*read.phrases, *read.excluded]) <= MAX_PHRASES
    assert len(read.terms()) <= MAX_WORDS
    assert isinstance(read.takes(MAIL), bool)


@given(
    st.text(st.characters(exclude_characters='"“”„«»', exclude_categories=["Cs"]), max_size=60), st.text(max_size=60)
)
def test_every_part_of_a_text_between_spaces_is_found(text: str, other: str) -> None:
    given_mail = mail(f"{other}\n{text}\n{other}")
    for piece in text.split():
        try:
            read = read_query(f'"{piece}"')
        except SearchQueryInvalid:
            continue
        assert read.terms() <= terms_of(given_mail)
        assert read.takes(given_mail)


@given(st.text(st.sampled_from("東京都大阪府山川"), min_size=4, max_size=30), st.data())
def test_every_part_of_a_text_without_spaces_is_found_and_no_other(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    part = text[start : data.draw(st.integers(start + 1, len(text)))]
    other = data.draw(st.text(st.sampled_from("東京都大阪府山川"), min_size=1, max_size=5))

    assert read_query(part).takes(mail(text))
    assert (other in text) == read_query(other).takes(mail(text))


def test_the_fields_of_a_mail_are_addresses_domains_folders_labels_and_attachments() -> None:
    made = mail(sender="John.Doe@Mail.Example.COM", to=["x@straße.example"], files=["a.pdf"])
    expected = {
        *("fjohn.doe@mail.example.com", "fmail.example.com", "fexample.com"),
        *("tx@strasse.example", "tstrasse.example", "dinbox", "lINBOX", "a1"),
    }

    assert expected == fields_of(made)
    assert "x@strasse.example" == plain(" X@STRASSE.example. ")


def test_a_mail_has_bounded_terms_of_which_the_subject_is_never_lost() -> None:
    huge = mail(" ".join(f"w{number:x}" for number in range(60_000)), "Subject")
    found = terms_of(huge)

    assert len(found) <= MAX_TERMS + 20
    assert read_query("subject").terms() <= found


def test_digests_differ_between_tenants_and_fit_a_column() -> None:
    terms = terms_of(MAIL)
    one, other = Digests(b"a" * KEY_BYTES).of(terms), Digests(b"b" * KEY_BYTES).of(terms)

    assert len(one) == len(terms)
    assert len(set(one) & set(other)) <= 1
    assert -(2**31) <= min(one) < max(one) < 2**31
    assert one == Digests(b"a" * KEY_BYTES).of(sorted(terms))


@pytest.mark.serial
def test_a_hostile_phrase_over_a_hostile_mail_ends_soon() -> None:
    hostile = mail("a " * 100_000)
    query = read_query('"' + "a " * (MAX_WORDS - 1) + 'b"')
    began = time.process_time()

    assert not query.takes(hostile)
    assert time.process_time() - began < 3
