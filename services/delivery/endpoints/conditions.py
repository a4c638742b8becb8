"""The conditions of endpoints on the content of mails: checked, stored, and held against events."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mailmesh.delivery.v1 import endpoint_service_pb2 as pb2
from mailmesh.mail.v1.message_pb2 import MailMessage
from mailmesh.processor.v1 import event_pb2
from services.meshkit.errors import FieldInvalid

MAX_CONDITIONS = 10
MAX_VALUES = 20
MAX_VALUE_CHARACTERS = 200
_FLAG = pb2.ENDPOINT_CONDITION_FIELD_HAS_ATTACHMENTS
_TESTS: Final[dict[int, Callable[[Sequence[str], tuple[str, ...], frozenset[str]], bool]]] = {
    pb2.ENDPOINT_CONDITION_TEST_EQUALS: lambda texts, _values, chosen: not chosen.isdisjoint(texts),
    pb2.ENDPOINT_CONDITION_TEST_CONTAINS: lambda texts, values, _: any(one in text for text in texts for one in values),
    pb2.ENDPOINT_CONDITION_TEST_ENDS_WITH: lambda texts, values, _: any(text.endswith(values) for text in texts),
}


class Conditions:
    """Conditions that are ready to be held against many events: their values are folded once.

    Args:
        asked: Checked conditions.
    """

    def __init__(self, asked: Iterable[pb2.EndpointCondition]) -> None:
        self._all = [_Condition.of(one) for one in asked]

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._all)

    def hold(self, event: event_pb2.Event) -> bool:
        """Tell whether all conditions hold for an event. They hold for an event that carries no mail."""
        if not self._all or event.WhichOneof("kind") != "mail" or not event.mail.HasField("message"):
            return True
        fields = _Fields(event.mail.message)
        return all(one.fits(fields) is not one.is_negated for one in self._all)


def checked(asked: Sequence[pb2.EndpointCondition]) -> bytes:
    """Check conditions, and return them in their stored form.

    Raises:
        FieldInvalid: A field, a test or a value is missing, malformed or too long, or there are too many.
    """
    if len(asked) > MAX_CONDITIONS:
        raise FieldInvalid.of("filter.conditions", f"must not have more than {MAX_CONDITIONS} conditions")
    kept = [_checked(f"filter.conditions[{at}]", one) for at, one in enumerate(asked)]
    return pb2.EndpointFilter(conditions=kept).SerializeToString()


def read(stored: bytes) -> Sequence[pb2.EndpointCondition]:
    """Return conditions from their stored form."""
    return pb2.EndpointFilter.FromString(stored).conditions


def _checked(place: str, one: pb2.EndpointCondition) -> pb2.EndpointCondition:
    if one.field not in pb2.EndpointConditionField.values()[1:]:
        raise FieldInvalid.of(f"{place}.field", "must be a field of EndpointConditionField")
    if one.test not in pb2.EndpointConditionTest.values():
        raise FieldInvalid.of(f"{place}.test", "must be a test of EndpointConditionTest")
    if one.field == _FLAG:
        if one.values or one.test:
            raise FieldInvalid.of(f"{place}.values", "must be empty, as the test: the field is true or false")
        return one
    if not 1 <= len(one.values) <= MAX_VALUES:
        raise FieldInvalid.of(f"{place}.values", f"must have 1 to {MAX_VALUES} values")
    for at, value in enumerate(one.values):
        if not 1 <= len(value) <= MAX_VALUE_CHARACTERS or "\0" in value:
            raise FieldInvalid.of(f"{place}.values[{at}]", f"must have 1 to {MAX_VALUE_CHARACTERS} characters")
    test = one.test or pb2.ENDPOINT_CONDITION_TEST_EQUALS
    return pb2.EndpointCondition(field=one.field, test=test, values=one.values, is_negated=one.is_negated)


class _Fields:
    """The fields of one mail, each folded once, however many conditions compare it."""

    def __init__(self, mail: MailMessage) -> None:
        self.mail = mail
        self._folded: dict[int, list[str]] = {}

    def folded(self, field: int) -> list[str]:
        if field not in self._folded:
            self._folded[field] = [text.casefold() for text in _texts(field, self.mail)]
        return self._folded[field]


@dataclass(frozen=True)
class _Condition:
    field: int
    test: int
    values: tuple[str, ...]
    chosen: frozenset[str]
    is_negated: bool

    @classmethod
    def of(cls, one: pb2.EndpointCondition) -> "_Condition":
        values = tuple(value.casefold() for value in one.values)
        return cls(one.field, one.test, values, frozenset(values), one.is_negated)

    def fits(self, fields: _Fields) -> bool:
        if self.field == _FLAG:
            return bool(fields.mail.attachments)
        return _TESTS[self.test](fields.folded(self.field), self.values, self.chosen)


def _texts(field: int, mail: MailMessage) -> list[str]:
    fields: dict[int, Callable[[], list[str]]] = {
        pb2.ENDPOINT_CONDITION_FIELD_SENDER: lambda: [mail.from_address.address],
        pb2.ENDPOINT_CONDITION_FIELD_RECIPIENT: lambda: [one.address for one in (*mail.to, *mail.cc, *mail.bcc)],
        pb2.ENDPOINT_CONDITION_FIELD_SUBJECT: lambda: [mail.subject],
        pb2.ENDPOINT_CONDITION_FIELD_FOLDER: lambda: [mail.folder_id],
        pb2.ENDPOINT_CONDITION_FIELD_LABEL: lambda: list(mail.label_ids),
        pb2.ENDPOINT_CONDITION_FIELD_CATEGORY: lambda: list(mail.categories),
    }
    return fields[field]()
