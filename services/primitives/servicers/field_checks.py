"""The checks of a request to extract fields."""

from google.protobuf import json_format

from mailmesh.primitives.v1 import primitive_service_pb2 as pb2
from services.meshkit.errors import FieldInvalid
from services.primitives.errors import SchemaUnsupported
from services.primitives.texts.schema import Field, fields_of

MAX_TEXT = 65_536


def check_extract(request: pb2.ExtractFieldsRequest) -> list[Field]:
    """Check a request; return the fields of its schema.

    Raises:
        FieldInvalid: The text is empty or too long.
        SchemaUnsupported: The schema has a part that is not supported.
    """
    if not request.text.strip():
        raise FieldInvalid.of("text", "is empty")
    if len(request.text) > MAX_TEXT:
        raise FieldInvalid.of("text", f"has more than {MAX_TEXT} characters")
    try:
        schema = json_format.MessageToDict(request.schema)
    except ValueError as exc:  # a number that JSON does not have
        raise SchemaUnsupported("schema is no JSON", metadata={"place": "schema", "cause": "is no JSON"}) from exc
    return fields_of(schema)
