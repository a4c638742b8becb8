"""Rows of the table of subscriptions, as values."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final

import asyncpg

from mailmesh.ingest.v1.subscription_service_pb2 import DELIVERY_MODE_POLL, SUBSCRIPTION_RESOURCE_MAIL
from services.providers.abilities import CALENDAR_READ, MAIL_READ


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    """One row of the table, with the columns that the use cases need, by their names."""

    subscription_id: str
    tenant_id: str
    provider: str
    state: int
    folder_id: str
    label_ids: tuple[str, ...]
    change_types: tuple[str, ...]
    delivery_mode: int
    provider_subscription_id: str | None
    expires_at: datetime | None
    renew_at: datetime | None
    last_notification_at: datetime | None
    last_renewed_at: datetime | None
    failure_reason: str
    failure_detail: str
    failures: int
    reconcile_reason: int | None
    lease_fence: int
    covered_from: datetime
    created_at: datetime
    updated_at: datetime
    resource: int = SUBSCRIPTION_RESOURCE_MAIL
    calendar_id: str = ""
    provider_calendar_id: str = ""
    is_default_calendar: bool = False
    includes_resource_data: bool = False
    certificate_id: str = ""

    @property
    def is_of_mail(self) -> bool:
        """Whether it is about mail; else it is about a calendar, or the list of calendars."""
        return self.resource == SUBSCRIPTION_RESOURCE_MAIL

    @property
    def ability(self) -> str:
        """The ability that the calls about it need."""
        return MAIL_READ if self.is_of_mail else CALENDAR_READ

    @property
    def is_polled(self) -> bool:
        """Whether the subscription is polled instead of pushed."""
        return self.delivery_mode == DELIVERY_MODE_POLL

    def is_at_provider(self, now: datetime) -> bool:
        """Return whether the provider has it, as far as is known."""
        return self.expires_at is not None and self.expires_at > now


@dataclass(frozen=True, slots=True)
class ProviderSubscription:
    """A subscription as the provider created or renewed it.

    Attributes:
        provider_subscription_id: The provider's id; empty where it has none.
        expires_at: When it expires, as the provider reported.
        history_id: Gmail's history id at that moment; None elsewhere.
        certificate_id: The certificate for which the provider encrypts resource data; empty without any.
    """

    provider_subscription_id: str
    expires_at: datetime
    history_id: int | None = None
    certificate_id: str = ""


COLUMNS: Final = ", ".join(field.name for field in fields(SubscriptionRow))


def row_of(record: asyncpg.Record) -> SubscriptionRow:
    """Return the value of a record with the columns `COLUMNS`."""
    values = dict(record)
    provider_subscription_id = values["provider_subscription_id"]
    return SubscriptionRow(
        **values
        | {
            "subscription_id": str(values["subscription_id"]),
            "tenant_id": str(values["tenant_id"]),
            "calendar_id": str(values["calendar_id"] or ""),
            "certificate_id": str(values["certificate_id"] or ""),
            "label_ids": tuple(values["label_ids"]),
            "change_types": tuple(values["change_types"]),
            "provider_subscription_id": None if provider_subscription_id is None else str(provider_subscription_id),
        }
    )
