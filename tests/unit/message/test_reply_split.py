"""The splitter tells new text from earlier mail, in the shapes that mail programs write."""

import pytest

from mailmesh.mail.v1 import message_pb2
from services.message.bodies import Part, make_body
from services.message.bounds import Cuts
from services.message.html import make_safe
from services.message.html_text import to_text
from services.message.reply_split import MAX_CHARACTERS, split
from services.message.reply_text import reply_text
from services.message.reply_words import LANGUAGES
from tests.unit.message.growth import TIMES, grows_too_fast
from tests.unit.message.replies import REPLIES, Reply


def body_of(reply: Reply) -> message_pb2.Body:
    return make_body([Part(text=reply.text, html=reply.html)], Cuts())


def is_right(reply: Reply, found: str) -> bool:
    """Tell whether a new text has all pieces in order, and nothing of the earlier mail."""
    place = 0
    for piece in reply.new:
        place = found.find(piece, place)
        if place < 0:
            return False
    is_whole = bool(reply.new) or not found.strip()
    return is_whole and not any(word in found for word in reply.old)


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: reply.name)
def test_a_reply_is_split(reply: Reply) -> None:
    body = body_of(reply)

    assert is_right(reply, reply_text(body)), reply_text(body)
    _assert_spans_cover(body)


@pytest.mark.parametrize("code", sorted(LANGUAGES))
def test_the_set_has_each_program_and_each_place_in_a_language(code: str) -> None:
    words = {word for reply in REPLIES if code in (parts := reply.name.split("-")) for word in parts}

    assert {"gmail", "outlook", "apple", "top", "bottom", "inline"} <= words
    assert (19, 200) <= (len(LANGUAGES), len({reply.name for reply in REPLIES}))


@pytest.mark.parametrize("reply", [reply for reply in REPLIES if reply.html], ids=lambda reply: reply.name)
def test_marks_leave_the_text_and_the_html_as_they_are(reply: Reply) -> None:
    safe, body = make_safe(reply.html or ""), body_of(reply)

    assert (safe.html, to_text(safe.html)) == (body.html, body.text)


def _assert_spans_cover(body: message_pb2.Body) -> None:
    assert "".join(body.text[span.start : span.end] for span in body.spans) == body.text
    assert all(one.kind != other.kind for one, other in zip(body.spans, body.spans[1:], strict=False))


HOSTILE = [
    "On \n", "On x", "x ", " ", "\n", "\xa0\n", ">", "> \n", "From:\n", "From: a@b.example\n", "Subject: a\nFrom: a@b.example\n",
    "a@b.example 2024 10:00 wrote:\n", "On 1/2/2024 10:00\n", "--\n", "-", "- ", "_", "_" * 40 + "\n", "a@", "@", "@b ", "1:", "1/", "2024",
    ":", ":\n", "：\n", "差出人:\n", "wrote:\n", "Sent from my phone\n", "-- From: --\n", "--original message--\n", "*From:*\n", "a:\n", "İ",
]  # fmt: skip
HOSTILE_HTML = [
    "<div class=gmail_attr>", "<div>", "</div>", "<blockquote type=cite>x", '<div id="appendonsend"></div>x', "<div class='", "<div ", "<",
    '<div style="border-top:solid #E1E1E1">From:</div>', "<wbr>", '<div class="gmail_signature">x</div>', "x<div class=gmail_attr>y</div>",
]  # fmt: skip
MIB = 1024 * 1024


@pytest.mark.parametrize("piece", HOSTILE, ids=ascii)
def test_time_of_hostile_text_grows_no_faster_than_the_text(piece: str) -> None:
    small, large = piece * (MIB // TIMES // len(piece)), piece * (MIB // len(piece))

    assert not grows_too_fast(lambda: split(small), lambda: split(large))
    assert split(large).spans[-1][2] == len(large)


@pytest.mark.parametrize("piece", HOSTILE_HTML, ids=ascii)
def test_hostile_marks_leave_the_text_as_it_is(piece: str) -> None:
    source = "<div class=gmail_attr>a</div>" + piece * 2000
    safe, body = make_safe(source), make_body([Part(html=source)], Cuts())

    assert (to_text(safe.html), safe.html) == (body.text, body.html)
    _assert_spans_cover(body)


def test_a_text_that_is_read_in_part_says_so() -> None:
    assert split("a\n" * 20_000).confidence == message_pb2.SPLIT_CONFIDENCE_LOW
    assert split("a" * (MAX_CHARACTERS + 1)).confidence == message_pb2.SPLIT_CONFIDENCE_LOW
    assert split("a\nb").confidence == message_pb2.SPLIT_CONFIDENCE_HIGH


def test_a_mail_cannot_write_a_mark_of_its_own() -> None:
    body = make_body([Part(html='<p>gmail_ a</p><wbr title="0123456789abcdefr("><p>b</p>')], Cuts())

    assert ("a" in reply_text(body), "b" in reply_text(body)) == (True, True)


def test_spans_count_code_points() -> None:
    body = make_body([Part(text="😀 ja\n\n-- \nKim")], Cuts())

    assert [(span.start, span.end) for span in body.spans] == [(0, 6), (6, len(body.text))]
