"""The tables of the named model.

model_settings  whether texts of a tenant may be sent to the model, and off the machine, and its tokens of a day
model_calls     an entry for each text that was sent, without the text
"""

from sqlalchemy import BigInteger, Boolean, Date, LargeBinary, SmallInteger, Table, Text

from services.meshkit.columns import ID, TIME, required
from services.processor.tables.schema import metadata

model_settings = Table(
    "model_settings",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("is_enabled", Boolean()),
    required("may_leave_machine", Boolean()),
    required("day", Date()),
    required("tokens", BigInteger()),
)

model_calls = Table(
    "model_calls",
    metadata,
    required("tenant_id", ID, primary_key=True),
    required("call_id", ID, primary_key=True),
    required("asked_at", TIME),
    required("key_id", Text()),
    required("operation", Text()),
    required("model", Text()),
    required("is_outside", Boolean()),
    required("prompt_version", Text()),
    required("digest", LargeBinary()),
    required("state", SmallInteger()),
    required("reason", Text()),
    required("label", Text()),
    required("tokens", BigInteger()),
)
