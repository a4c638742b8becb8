"""How a row of the table of subscriptions is read."""

from dataclasses import fields

import asyncpg

from services.ingest.subscriptions.next_step import SubscriptionRow

COLUMNS = ", ".join(field.name for field in fields(SubscriptionRow))


def row_of(record: asyncpg.Record) -> SubscriptionRow:
    """Makes the value from the columns `COLUMNS`."""
    values = dict(record)
    provider_subscription_id = values["provider_subscription_id"]
    return SubscriptionRow(
        **values
        | {
            "subscription_id": str(values["subscription_id"]),
            "tenant_id": str(values["tenant_id"]),
            "label_ids": tuple(values["label_ids"]),
            "change_types": tuple(values["change_types"]),
            "provider_subscription_id": None if provider_subscription_id is None else str(provider_subscription_id),
        }
    )
