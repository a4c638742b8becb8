"""Answers for agents hold no invisible characters, no content beyond the bounds, and mark the words of strangers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailmesh.mail.v1 import event_pb2, message_pb2
from mailmesh.processor.v1 import message_service_pb2
from services.agents.answers import CUT, MOST_CHARACTERS, MOST_CHARACTERS_OF_ALL, Answer, clean


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain\n\ttext", "plain\n\ttext"),
        ("pay\u202etxt.exe", "paytxt.exe"),
        ("a\u200bb\u200dc\u2060d\ufeffe\u00adf", "abcdef"),
        ("x\U000e0049\U000e0047\U000e004e", "x"),
        ("\u3164\u115f\u2800\uffa0y\ufe0f", "y"),
        ("\x1b[2Jz\x00\r", "[2Jz"),
        ("Grüße, 例え 🎉", "Grüße, 例え 🎉"),
    ],
)
def test_invisible_characters_are_removed(text: str, seen: str) -> None:
    assert seen == clean(text)


@given(st.text())
def test_cleaning_a_clean_text_changes_nothing(text: str) -> None:
    assert clean(text) == clean(clean(text))


def test_the_content_of_a_mail_is_untrusted_and_has_neither_html_nor_raw() -> None:
    mail = message_pb2.MailMessage(subject="Hi\u202e", body=message_pb2.Body(text="text", html="<b>text</b>"))
    response = message_service_pb2.GetMessageResponse(provider="ms365", message=mail)
    response.raw.update({"subject": "Hi"})

    assert Answer().of(response) == {
        "provider": "ms365",
        "message": {"untrusted": {"subject": "Hi", "body": {"text": "text"}}},
    }


def test_one_text_and_all_texts_together_are_bounded() -> None:
    body = message_pb2.Body(text="x" * (MOST_CHARACTERS + 1))
    message = message_pb2.MailMessage(body=body)
    events = [event_pb2.NormalizedMailEvent(message=message) for _ in range(20)]
    answer = Answer()
    texts = [answer.of(event)["message"]["untrusted"]["body"]["text"] for event in events]

    assert texts[0] == "x" * MOST_CHARACTERS + CUT
    assert texts[-1] == CUT
    assert sum(text.count("x") for text in texts) == MOST_CHARACTERS_OF_ALL
