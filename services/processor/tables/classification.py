"""The table of classification on arrival.

classification_settings  whether mail of a tenant is classified, by which labels, how far, and what it waits for
"""

from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, Table, Text

from services.meshkit.columns import ID, TIME, required
from services.processor.tables.schema import metadata

classification_settings = Table(
    "classification_settings",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("is_enabled", Boolean()),
    required("version", BigInteger()),
    required("position", BigInteger()),
    required("cursor", Text()),
    required("content", LargeBinary()),
    required("attempts", Integer()),
    required("reason", Text()),
    Column("retry_at", TIME),
    Column("tried_at", TIME),
)
