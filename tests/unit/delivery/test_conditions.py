"""The conditions of endpoints on the content of mails."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailmesh.delivery.v1 import endpoint_service_pb2 as pb2
from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.mail.v1 import message_pb2
from mailmesh.processor.v1 import event_pb2
from services.delivery.endpoints import conditions
from services.meshkit.errors import FieldInvalid

MAIL = message_pb2.MailMessage(
    subject="Invoice 4711",
    from_address=message_pb2.Address(address="Billing@Example.com"),
    to=[message_pb2.Address(address="a@contoso.test")],
    cc=[message_pb2.Address(address="b@contoso.test")],
    folder_id="inbox",
    label_ids=["L1", "L2"],
    categories=["Blue"],
)
EVENT = event_pb2.Event(mail=mail_pb2.NormalizedMailEvent(event_type="mail.created", message=MAIL))


def condition(field: str, test: str, *values: str, is_negated: bool = False) -> pb2.EndpointCondition:
    return pb2.EndpointCondition(
        field=pb2.EndpointConditionField.Value(f"ENDPOINT_CONDITION_FIELD_{field}"),
        test=pb2.EndpointConditionTest.Value(f"ENDPOINT_CONDITION_TEST_{test}"),
        values=values,
        is_negated=is_negated,
    )


def holds(*asked: pb2.EndpointCondition, event: event_pb2.Event = EVENT) -> bool:
    return conditions.Conditions(conditions.read(conditions.checked(asked))).hold(event)


@pytest.mark.parametrize(
    ("field", "test", "fitting", "other"),
    [
        ("SENDER", "ENDS_WITH", "@example.COM", "@example.org"),
        ("SENDER", "UNSPECIFIED", "billing@example.com", "example.com"),
        ("RECIPIENT", "EQUALS", "b@contoso.test", "c@contoso.test"),
        ("SUBJECT", "CONTAINS", "invoice", "offer"),
        ("FOLDER", "EQUALS", "inbox", "archive"),
        ("LABEL", "EQUALS", "l2", "L3"),
        ("CATEGORY", "EQUALS", "blue", "red"),
    ],
)
def test_a_condition_compares_its_field_without_regard_to_case(field: str, test: str, fitting: str, other: str) -> None:
    assert holds(condition(field, test, fitting))
    assert holds(condition(field, test, other, fitting))
    assert not holds(condition(field, test, other))
    assert not holds(condition(field, test, fitting, is_negated=True))
    assert holds(condition(field, test, other, is_negated=True))


def test_all_conditions_have_to_hold() -> None:
    fits, fails = condition("SUBJECT", "CONTAINS", "4711"), condition("SUBJECT", "CONTAINS", "offer")

    assert holds()
    assert holds(fits, fits)
    assert not holds(fits, fails)


def test_a_field_is_folded_once_however_many_conditions_compare_it(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    texts = conditions._texts

    def noted(field: int, mail: message_pb2.MailMessage) -> list[str]:
        read.append(field)
        return texts(field, mail)

    monkeypatch.setattr(conditions, "_texts", noted)
    crowded = event_pb2.Event()
    crowded.CopyFrom(EVENT)
    crowded.mail.message.to.extend(message_pb2.Address(address=f"P{at}@Contoso.test") for at in range(4500))
    tests = ("EQUALS", "CONTAINS", "ENDS_WITH")

    assert holds(*(condition("RECIPIENT", test, "x", "p4499@contoso.TEST") for test in tests * 3), event=crowded)
    assert read == [pb2.ENDPOINT_CONDITION_FIELD_RECIPIENT]


def test_attachments_are_a_field_without_values() -> None:
    asked = condition("HAS_ATTACHMENTS", "UNSPECIFIED")
    assert not holds(asked)
    laden = event_pb2.Event()
    laden.CopyFrom(EVENT)
    laden.mail.message.attachments.add(name="a.pdf")
    assert holds(asked, event=laden)
    with pytest.raises(FieldInvalid):
        conditions.checked([condition("HAS_ATTACHMENTS", "EQUALS", "yes")])


def test_an_event_without_a_mail_passes() -> None:
    asked = condition("SUBJECT", "CONTAINS", "offer")
    deleted = event_pb2.Event(mail=mail_pb2.NormalizedMailEvent(event_type="mail.deleted"))

    assert holds(asked, event=deleted)
    assert holds(asked, event=event_pb2.Event(tenant=event_pb2.TenantEvent(event_type="tenant.active")))


@pytest.mark.parametrize(
    "asked",
    [
        [condition("UNSPECIFIED", "EQUALS", "x")],
        [condition("SUBJECT", "EQUALS")],
        [condition("SUBJECT", "EQUALS", "")],
        [condition("SUBJECT", "EQUALS", "a\0b")],
        [condition("SUBJECT", "EQUALS", "x" * 201)],
        [condition("SUBJECT", "EQUALS", *"abcdefghijklmnopqrstu")],
        [condition("SUBJECT", "EQUALS", "x")] * 11,
    ],
)
def test_a_malformed_condition_is_refused_by_its_place(asked: list[pb2.EndpointCondition]) -> None:
    with pytest.raises(FieldInvalid, match=r"filter\.conditions"):
        conditions.checked(asked)


def test_a_field_or_test_of_tomorrow_is_refused() -> None:
    for unknown in (
        pb2.EndpointCondition.FromString(b"\x08\x63"),
        pb2.EndpointCondition.FromString(b"\x08\x01\x10\x63"),
    ):
        unknown.values.append("x")
        with pytest.raises(FieldInvalid):
            conditions.checked([unknown])


@given(st.text(max_size=60), st.text(min_size=1, max_size=20))
def test_negation_is_the_opposite_for_every_text(subject: str, value: str) -> None:
    value = value.replace("\0", "0")
    event = event_pb2.Event(mail=mail_pb2.NormalizedMailEvent(message=message_pb2.MailMessage(subject=subject)))
    asked = [condition("SUBJECT", "CONTAINS", value, is_negated=turned) for turned in (False, True)]

    assert [holds(one, event=event) for one in asked] in ([True, False], [False, True])
