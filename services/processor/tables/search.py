"""The tables of search.

search_settings  whether mail of a tenant is indexed, the key of its digests, and how far
search_mails     the indexed mails: digests of their terms, no text
"""

from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

from services.meshkit.columns import ID, TIME, required
from services.processor.tables.schema import metadata

search_settings = Table(
    "search_settings",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("is_enabled", Boolean()),
    required("is_clearing", Boolean()),
    required("key", LargeBinary()),
    required("position", BigInteger()),
    required("cursor", Text()),
    required("mails", BigInteger()),
    Column("tried_at", TIME),
)

search_mails = Table(
    "search_mails",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("message_id", Text(), primary_key=True),
    required("received_at", TIME),
    required("position", BigInteger()),
    required("terms", ARRAY(Integer())),
)
