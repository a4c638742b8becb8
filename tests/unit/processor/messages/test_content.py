"""The checks of a modification before it is stored."""

from typing import Any

import pytest

from mailmesh.processor.v1 import message_service_pb2 as pb2
from services.meshkit.errors import FieldInvalid
from services.processor.messages.content import check_provider, checked, labels_of


def request(**change: Any) -> pb2.ModifyMessagesRequest:
    fields = change or {"is_read": True}
    return pb2.ModifyMessagesRequest(idempotency_key="k", message_ids=["a"], change=pb2.MessageChange(**fields))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"add_categories": ["a\nb"]}, "change.add_categories[0]"),
        ({"add_categories": [" "]}, "change.add_categories[0]"),
        ({"add_categories": ["x"] * 21}, "change.add_categories"),
        ({"add_categories": ["Done"], "remove_categories": ["DONE"]}, "change.remove_categories"),
        ({"add_label_ids": ["SENT"]}, "change.add_label_ids"),
        ({"remove_label_ids": ["DRAFT"]}, "change.remove_label_ids"),
        ({"add_label_ids": ["Label 1"]}, "change.add_label_ids[0]"),
        ({"is_read": True, "add_label_ids": ["UNREAD"]}, "change.remove_label_ids"),
        ({"add_label_ids": [".."]}, "change.add_label_ids[0]"),
        ({"folder_id": "."}, "change.folder_id"),
        ({"folder_id": "a b"}, "change.folder_id"),
        ({"place": 9}, "change.place"),
        ({"place": pb2.MAIL_PLACE_UNSPECIFIED}, "change"),
    ],
)
def test_a_malformed_or_contradictory_change_is_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        checked(request(**change))

    assert [field] == list(refused.value.violations)


@pytest.mark.parametrize("ids", [[], ["a"] * 1001, [""], ["a b"], ["x" * 501], ["."], [".."]])
def test_ids_have_their_bounds(ids: list[str]) -> None:
    asked = request()
    asked.message_ids[:] = ids

    with pytest.raises(FieldInvalid):
        checked(asked)


def test_each_mail_counts_once_in_its_order() -> None:
    asked = request()
    asked.message_ids[:] = ["b", "a", "b"]

    assert ["b", "a"] == list(checked(asked).message_ids)


@pytest.mark.parametrize(
    ("provider", "change"),
    [("googlews", {"add_categories": ["Done"]}), ("googlews", {"folder_id": "f"}), ("ms365", {"add_label_ids": ["L"]})],
)
def test_a_field_of_the_other_provider_is_refused(provider: str, change: dict[str, Any]) -> None:
    with pytest.raises(FieldInvalid):
        check_provider(checked(request(**change)).change, provider)


@pytest.mark.parametrize(
    ("change", "labels"),
    [
        ({"is_read": True}, ([], ["UNREAD"])),
        ({"is_read": False, "is_flagged": True}, (["STARRED", "UNREAD"], [])),
        ({"place": pb2.MAIL_PLACE_ARCHIVE, "add_label_ids": ["L"]}, (["L"], ["INBOX"])),
        ({"place": pb2.MAIL_PLACE_TRASH}, (["TRASH"], ["INBOX"])),
        ({"place": pb2.MAIL_PLACE_INBOX}, (["INBOX"], ["TRASH"])),
    ],
)
def test_a_change_is_labels_at_google(change: dict[str, Any], labels: tuple[list[str], list[str]]) -> None:
    assert labels == labels_of(pb2.MessageChange(**change))
