"""Words of mails and of queries: the same in both, in every language, from any text."""
# ruff: noqa: RUF001 - words as they are

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.processor.search.words import MAX_CHARACTERS, fold, placed_words, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("john.doe+news@mail.example.com", "john doe news mail example com"),
        ("müller@straße.example", "muller strasse example"),
        ("https://shop.example.com/orders/4711", "https shop example com orders 4711"),
        ("INV-2026-0042", "inv 2026 0042"),
        ("file.pdf v1.2.3-rc.1 AB/12/cd snake_case", "file pdf v1 2 3 rc 1 ab 12 cd snake case"),
        ("1,234.56; C++; 😀", "1 234 56 c"),
        ("so\u00adft zero\u200bwidth cafe\u0301", "soft zerowidth cafe"),
        ("МИР Ёлка Łódź Ørsted İstanbul ısı", "мир елка lodz orsted istanbul isi"),
        ("ΣΊΣΥΦΟΣ Ελλάδα", "σισυφοσ ελλαδα"),
        ("हिन्दी शब्द", "हिन्दी शब्द"),
        ("سَلَام שָׁלוֹם", "سلام שלום"),
        ("ｆｕｌｌ ① ﬁne", "full 1 fine"),
        ("東京タワー", "東京 京タ タワ ワー ー"),
        ("ﾊﾞｽ", "バス ス"),
        ("한국어", "한국 국어 어"),
        ("ไทย", "ไท ทย ย"),
        ("Tokyo東京", "tokyo 東京 京"),
    ],
)
def test_a_text_has_its_words(text: str, expected: str) -> None:
    assert expected.split() == words(text)


def test_long_words_are_cut() -> None:
    assert [["x" * MAX_CHARACTERS], ["ä"[:0] + "a" * MAX_CHARACTERS]] == [words("x" * 5000), words("ä" * 5000)]


@given(st.text())
def test_any_text_gives_words_with_places_and_no_empty_one(text: str) -> None:
    found = list(placed_words(text))

    assert words(text) == [word for word, _, _ in found]
    for word, start, end in found:
        assert 0 < len(word) <= MAX_CHARACTERS
        assert 0 <= start < end <= len(text)


@given(st.text(), st.text())
def test_a_line_of_two_texts_has_the_words_of_both(one: str, other: str) -> None:
    assert words(one) + words(other) == words(f"{one}\n{other}")


@given(st.text(st.characters(max_codepoint=0x24F)))
def test_case_and_width_of_latin_do_not_count(text: str) -> None:
    assert words(text) == words(text.upper().lower()) or fold(text) != fold(text.upper().lower())


@pytest.mark.serial
@pytest.mark.parametrize("hard", ["a", "ä", "東", "\u0301", "a\u0301", "\u200b", "_", "א\u05b0", "ﷺ", "a."])
def test_the_time_is_linear_in_the_length(hard: str) -> None:
    def seconds(count: int) -> float:
        text, began = hard * count, time.process_time()
        words(text)
        return time.process_time() - began

    seconds(1000)
    assert seconds(200_000) < max(seconds(20_000), 0.01) * 40
