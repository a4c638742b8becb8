"""Snippets: one harmless line with the places of the found words, from any mail."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from services.processor.search.errors import SearchQueryInvalid
from services.processor.search.query import MAX_CHARACTERS as QUERY_CHARACTERS
from services.processor.search.query import read_query
from services.processor.search.snippet import MAX_CHARACTERS, MAX_HIGHLIGHTS, hit_of, snippet_of
from tests.unit.processor.search.mails import mail


def test_a_snippet_shows_the_first_found_word() -> None:
    text = "Lorem ipsum.\n" * 40 + "Your\r\n\tinvoice\u202e is <b>due</b>. Invoice!"
    snippet, highlights = snippet_of(text, read_query("invoice"))

    assert "Your invoice is <b>due</b>. Invoice!" in snippet
    assert ["invoice", "Invoice"] == [snippet[start:end] for start, end in highlights]


def test_parts_of_text_without_spaces_are_highlighted() -> None:
    snippet, highlights = snippet_of("会議は木曜日です", read_query("木曜日"))

    assert "木" == snippet[highlights[0][0]]
    assert "木曜" == snippet[slice(*highlights[0])]


def test_a_mail_that_matches_by_its_subject_shows_its_beginning() -> None:
    hit = hit_of(mail("Dear all, " + "x " * 500, "Reminder", files=["a.pdf"]), read_query("reminder"))

    assert ("Reminder", [], True) == (hit.subject, list(hit.highlights), hit.has_attachment)
    assert hit.snippet.startswith("Dear all,")
    assert not hit.HasField("received_at")


@given(st.text(max_size=3000), st.text(max_size=QUERY_CHARACTERS))
def test_any_snippet_is_one_bounded_line_without_control_characters(text: str, query: str) -> None:
    try:
        snippet, highlights = snippet_of(text, read_query(query))
    except SearchQueryInvalid:
        return

    assert len(snippet) <= MAX_CHARACTERS
    assert not {"Cc", "Cf", "Cs", "Zl", "Zp"} & {unicodedata.category(one) for one in snippet}
    assert len(highlights) <= MAX_HIGHLIGHTS
    ends = [0]
    for start, end in highlights:
        assert ends[-1] <= start < end <= len(snippet)
        ends.append(end)
