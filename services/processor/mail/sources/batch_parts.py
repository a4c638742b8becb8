"""A long answer of Graph's `$batch`: a process takes it apart, and hands over the body of each response alone."""

import itertools
import json
import struct
from typing import Any

from services.processor.mail.sources.long_json import written
from services.processor.mailbox.parsing import MAX_PARSED_BYTES, parse

_LENGTH = struct.Struct(">I")
_MAX_RESPONSES = 100
_HEAD = ("id", "status", "headers")


def split(answer: dict[str, Any]) -> bytes:
    """Write the responses of a batch for another process.

    Args:
        answer: The answer as it was parsed.

    Raises:
        ValueError: The answer has no form that could be handed over.
    """
    listed = answer.get("responses")
    given = itertools.islice(listed if isinstance(listed, list) else (), _MAX_RESPONSES)
    responses = [response for response in given if isinstance(response, dict)]
    bodies = [written(response.get("body")) for response in responses]
    heads = [
        {**{name: response.get(name) for name in _HEAD}, "body": len(body)}
        for response, body in zip(responses, bodies, strict=True)
    ]
    head = written(heads)
    return b"".join((_LENGTH.pack(len(head)), head, *bodies))


def read(data: bytes) -> list[dict[str, Any]]:
    """Read the responses that `split` wrote.

    Returns:
        The responses. The body of each is what it was, or the bytes of a body longer than `MAX_PARSED_BYTES`.

    Raises:
        ValueError: The bytes are of another form.
    """
    try:
        (length,) = _LENGTH.unpack_from(data)
        position = _LENGTH.size + length
        responses = json.loads(data[_LENGTH.size : position])
        for response in responses:
            end = position + response["body"]
            body, position = data[position:end], end
            response["body"] = body if len(body) > MAX_PARSED_BYTES else parse(body)
    except (struct.error, KeyError, TypeError) as exc:
        raise ValueError("no batch") from exc
    return list(responses)
