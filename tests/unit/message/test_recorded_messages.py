"""Recorded messages of both providers, each beside the event that it must give.

`NAME.json` is what the provider gave, `NAME.expected.json` the event without `raw`. A mail that both providers have
under the same name is the same mail, and must give the same message but for what docs/reference/message-fields.md says.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict

from mailmesh.mail.v1 import event_pb2, message_pb2
from services.processor.mail.sources import gmail_mapping, graph_mapping
from services.processor.mail.sources.mapped import MappedMessage

DATA = Path(__file__).parents[2] / "data"
MAPPINGS = {"ms365": graph_mapping.map_message, "googlews": gmail_mapping.map_message}
RECORDED = sorted(
    path for path in DATA.glob("*/messages/*.json") if path.parts[-3] in MAPPINGS and ".expected" not in path.name
)
TWINS = sorted(
    path.name for path in DATA.glob("ms365/messages/*.json")
    if (DATA / "googlews" / "messages" / path.name).exists() and ".expected" not in path.name
)  # fmt: skip


def _mapped(path: Path) -> MappedMessage:
    return MAPPINGS[path.parts[-3]](json.loads(path.read_text()))


def _event(path: Path) -> dict[str, Any]:
    raw, mapped = json.loads(path.read_text()), _mapped(path)
    event = event_pb2.NormalizedMailEvent(
        provider=path.parts[-3],
        event_type="mail.created",
        message_id=raw["id"],
        message=mapped.message,
        is_enriched=True,
        version=mapped.version,
        truncation=mapped.truncation,
    )
    return MessageToDict(event)


def _assert_as_expected(path: Path) -> None:
    expected = path.with_suffix(".expected.json")
    if "REWRITE_EXPECTED" in os.environ:  # git shows the difference
        expected.write_text(json.dumps(_event(path), indent=1, ensure_ascii=False) + "\n")

    assert json.loads(expected.read_text()) == _event(path)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_a_recorded_message_gives_its_event(path: Path) -> None:
    _assert_as_expected(path)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_raw_is_the_providers_object(path: Path) -> None:
    expected = ParseDict(json.loads(path.read_text()), event_pb2.NormalizedMailEvent().raw)

    assert expected == _mapped(path).raw


def _common(message: message_pb2.MailMessage) -> dict[str, Any]:
    """The message without what the table of fields says differs."""
    same = message_pb2.MailMessage()
    same.CopyFrom(message)
    for name in ("thread", "preview", "folder_id", "label_ids", "categories", "size_bytes", "web_link"):
        same.ClearField(name)
    if same.importance == message_pb2.IMPORTANCE_NORMAL:
        same.ClearField("importance")
    for recipients in (same.to, same.cc, same.bcc, same.reply_to):
        for address in recipients:
            address.ClearField("group")
    for attachment in same.attachments:
        attachment.ClearField("attachment_id")
        attachment.ClearField("part_id")
        attachment.ClearField("size_bytes")
        if attachment.kind == message_pb2.ATTACHMENT_KIND_ITEM:
            attachment.ClearField("name")
            attachment.ClearField("content_type")
    if same.is_draft:
        same.ClearField("headers")
    return MessageToDict(same)


@pytest.mark.parametrize("name", TWINS)
def test_the_same_mail_gives_the_same_message_at_both_providers(name: str) -> None:
    graph, gmail = (_common(_mapped(DATA / provider / "messages" / name).message) for provider in MAPPINGS)
    if graph["body"].get("html"):
        # Graph gives one body only, so its text is always made from the HTML.
        assert graph["body"].pop("isTextFromHtml")
        if not gmail["body"].pop("isTextFromHtml", False):
            del graph["body"]["text"], gmail["body"]["text"]

    assert graph == gmail


def test_both_providers_are_recorded() -> None:
    assert 12 <= len(TWINS)
    assert len(RECORDED) > 2 * len(TWINS)
