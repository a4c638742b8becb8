"""How Delivery's rows of a tenant are written in an export. Endpoints are of the operator, and in no export."""

import asyncpg

from services.delivery.migrate import SCHEMA
from services.meshkit.exporting import Export, Form, Written
from services.meshkit.exporting_forms import bytes_json, document_json


def _delivery(row: asyncpg.Record) -> Written:
    return {"body": document_json(row["body"])}


def _attempt(row: asyncpg.Record) -> Written:
    return {"answer": bytes_json(row["answer"])}


FORMS = {"attempts": Form(("answer",), _attempt), "deliveries": Form(("body",), _delivery)}
"""The forms of tables that have more than texts, numbers and times; a test knows every column of bytes."""
EXPORT = Export("delivery", SCHEMA.head, FORMS)
