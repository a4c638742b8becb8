"""Reads the models of Microsoft's SDK into a table of properties and types.

Importing the SDK takes seconds, so the other tests read the table of the few models that mail needs from
`graph_models.json`. The command `python -m tests.wire.simulator.graph_models` writes it, and `test_msgraph_sdk.py`
compares the two.
"""

import dataclasses
import importlib
import json
import re
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("graph_models.json")
_MODELS = {
    "Message": "message",
    "FileAttachment": "file_attachment",
    "ItemAttachment": "item_attachment",
    "MailFolder": "mail_folder",
    "User": "user",
    "Subscription": "subscription",
    "Recipient": "recipient",
    "EmailAddress": "email_address",
    "ItemBody": "item_body",
    "FollowupFlag": "followup_flag",
    "InternetMessageHeader": "internet_message_header",
    "SingleValueLegacyExtendedProperty": "single_value_legacy_extended_property",
    "ConvertIdResult": "convert_id_result",
    "UploadSession": "upload_session",
    "DateTimeTimeZone": "date_time_time_zone",
    "Calendar": "calendar",
    "Event": "event",
    "Attendee": "attendee",
    "Location": "location",
    "ResponseStatus": "response_status",
    "OnlineMeetingInfo": "online_meeting_info",
    "Phone": "phone",
    "PatternedRecurrence": "patterned_recurrence",
    "RecurrencePattern": "recurrence_pattern",
    "RecurrenceRange": "recurrence_range",
    "ScheduleInformation": "schedule_information",
    "ScheduleItem": "schedule_item",
    "FreeBusyError": "free_busy_error",
    "WorkingHours": "working_hours",
    "TimeZoneBase": "time_zone_base",
    "MainError": "o_data_errors.main_error",
    "InnerError": "o_data_errors.inner_error",
}
_TYPE = re.compile(r"Optional\[(list\[)?([\w.]+)\]*")


def read_models() -> dict[str, Any]:
    """The table as the installed SDK has it: model, property, type; a list's type ends in `[]`."""
    return {name: _model(name, module) for name, module in sorted(_MODELS.items())}


def _model(name: str, module: str) -> dict[str, str]:
    made = getattr(importlib.import_module(f"msgraph.generated.models.{module}"), name)
    types = {field.name.rstrip("_").replace("_", ""): str(field.type) for field in dataclasses.fields(made)}
    shown = {}
    for wire in made().get_field_deserializers():
        match = _TYPE.search(types[re.sub(r"[._-]", "", wire.replace("@odata", "odata")).lower()])
        if match:
            shown[wire] = match[2] + ("[]" if match[1] else "")
    return dict(sorted(shown.items()))


if __name__ == "__main__":
    PATH.write_text(json.dumps(read_models(), indent=1) + "\n")
