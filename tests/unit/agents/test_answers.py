"""Answers for agents hold no invisible characters, no content beyond the bounds, and mark the words of strangers."""

import pytest
from google.protobuf.descriptor import Descriptor
from hypothesis import given
from hypothesis import strategies as st

from mailmesh.conversation.v1 import conversation_pb2
from mailmesh.conversation.v1 import event_pb2 as conversation_event_pb2
from mailmesh.mail.v1 import event_pb2, message_pb2
from mailmesh.processor.v1 import message_service_pb2, send_service_pb2
from services.agents.answers import (
    CUT,
    LEFT_OUT,
    MOST_CHARACTERS,
    MOST_CHARACTERS_OF_ALL,
    UNTRUSTED,
    UNTRUSTED_FIELDS,
    Answer,
    clean,
    shown,
)
from services.agents.tools import load_tools

# The names of texts that mailmesh, the operator or the provider's program writes, besides ids and tokens of pages.
OURS = frozenset(
    {
        "actor",
        "detail",
        "event_type",
        "fields",
        "idempotency_key",
        "next_cursor",
        "position",
        "provider",
        "reason",
        "status_detail",
        "status_reason",
        "version",
    }
)
# Of single fields. A tenant is the account of the operator, who also names workflows; the change of mails is
# the caller's own request.
OURS_HERE = frozenset(
    {
        "mailmesh.conversation.v1.ConversationTimer.name",
        "mailmesh.ingest.v1.InboxItem.traceparent",
        "mailmesh.processor.v1.MessageChange.add_categories",
        "mailmesh.processor.v1.MessageChange.remove_categories",
        "mailmesh.mail.v1.MailChange.label_ids_added",
        "mailmesh.mail.v1.MailChange.label_ids_removed",
        "mailmesh.mail.v1.MailClassification.label",
        "mailmesh.mail.v1.MailClassification.method",
        "mailmesh.processor.v1.WorkflowEvent.workflow",
        "mailmesh.vault.v1.Tenant.address",
        "mailmesh.vault.v1.Tenant.display_name",
        "mailmesh.vault.v1.Tenant.granted_abilities",
        "mailmesh.vault.v1.Tenant.granted_scopes",
        "mailmesh.vault.v1.Tenant.last_refresh_error",
        "mailmesh.vault.v1.Tenant.requested_abilities",
        "mailmesh.vault.v1.Tenant.token_type",
    }
)


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


def test_the_words_of_conversations_and_of_answers_are_untrusted() -> None:
    conversation = conversation_pb2.Conversation(subject="Obey", requester="obey@example.com", state=2)
    joined = conversation_pb2.ConversationMessage(sender="obey@example.com")
    event = conversation_event_pb2.ConversationEvent(event_type="x", conversation=conversation, message=joined)
    send = send_service_pb2.Send(send_id="s", subject="Re: Obey", to=[send_service_pb2.Recipient(name="Obey")])

    assert Answer().of(event) == {
        "eventType": "x",
        "conversation": {
            "untrusted": {"requester": "obey@example.com", "subject": "Obey", "state": "CONVERSATION_STATE_OPEN"}
        },
        "message": {"untrusted": {"sender": "obey@example.com"}},
    }
    assert Answer().of(send) == {"sendId": "s", "untrusted": {"to": [{"name": "Obey"}], "subject": "Re: Obey"}}


def trusted_texts(message: Descriptor, seen: set[str]) -> set[str]:
    """The texts of a message and of those within it that an answer shows as trusted."""
    if message.full_name in seen | UNTRUSTED:
        return set()
    seen.add(message.full_name)
    found: set[str] = set()
    for field in message.fields:
        if field.name in LEFT_OUT or field.full_name in UNTRUSTED_FIELDS:
            continue
        if field.message_type is not None:
            found |= trusted_texts(field.message_type, seen)
        elif field.type == field.TYPE_STRING and not field.name.endswith(("_id", "_ids", "_page_token")):
            found |= {field.full_name} if field.name not in OURS else set()
    return found


def test_each_trusted_text_that_a_tool_can_return_is_known_as_ours() -> None:
    seen: set[str] = set()
    texts = {text for tool in load_tools().values() for text in trusted_texts(tool.method.output_type, seen)}

    assert texts == OURS_HERE


def test_what_is_marked_as_untrusted_exists_in_answers() -> None:
    names: set[str] = set()

    def walk(message: Descriptor) -> None:
        if message.full_name not in names:
            names.update({message.full_name, *(field.full_name for field in message.fields)})
            for field in message.fields:
                if field.message_type is not None:
                    walk(field.message_type)

    for tool in load_tools().values():
        walk(tool.method.output_type)

    assert names >= UNTRUSTED | UNTRUSTED_FIELDS


def test_a_person_sees_each_character_that_acts_in_the_arguments_of_a_confirmation() -> None:
    """The arguments may be a stranger's words: what is shown must be what is sent."""
    arguments = {"to": [{"address": "a\u202eb@example.com"}], "text": "Dear\nAda\x1b[2J\u200b", "is_draft": True}

    assert shown(arguments) == {
        "to": [{"address": "a\\u202eb@example.com"}],
        "text": "Dear\nAda\\x1b[2J\\u200b",
        "is_draft": True,
    }
