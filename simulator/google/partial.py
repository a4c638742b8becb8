"""Partial responses: the ``fields`` parameter of Google's APIs (Gmail API guide, performance)."""

import re
from collections.abc import Iterator
from typing import Any

from simulator.google.errors import api_error
from simulator.http import Reply

_TOKEN = re.compile(r"[A-Za-z0-9_.-]+|[*,/()]")
Mask = dict[str, Any]


def partial_reply(fields: str, reply: Reply) -> Reply:
    """Return an answer with only the fields of a selector such as ``messages(id,labelIds),nextPageToken``.

    Raises:
        ApiError: 400, the selector is malformed.
    """
    if not fields or reply.status >= 300 or not isinstance(reply.body, dict):
        return reply
    if "".join(_TOKEN.findall(fields)) != fields.replace(" ", ""):
        raise _invalid(fields)
    tokens = iter(_TOKEN.findall(fields))
    mask = _read(tokens, fields)
    if next(tokens, None) is not None:
        raise _invalid(fields)
    return Reply(reply.status, _masked(reply.body, mask), reply.headers)


def _invalid(fields: str) -> Exception:
    return api_error(400, "invalidParameter", f"Invalid field selection {fields}")


def _read(tokens: Iterator[str], fields: str, *, is_inner: bool = False) -> Mask:
    """Read a list of selectors up to its end; an empty mask below a name is everything below it."""
    mask: Mask = {}
    here, name = mask, ""
    for sign in tokens:
        if sign in ",)":
            if not name:
                raise _invalid(fields)
            if sign == ")":
                if not is_inner:
                    raise _invalid(fields)
                return mask
            here, name = mask, ""
        elif sign == "/":
            here, name = here[name], ""
        elif sign == "(":
            here[name].update(_read(tokens, fields, is_inner=True))
        elif name:
            raise _invalid(fields)
        else:
            name = sign
            here.setdefault(name, {})
    if is_inner or not name:
        raise _invalid(fields)
    return mask


def _masked(value: Any, mask: Mask) -> Any:
    if not mask or ("*" in mask and not mask["*"]):
        return value
    if isinstance(value, list):
        return [_masked(item, mask) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _masked(item, mask[key] if key in mask else mask["*"])
        for key, item in value.items()
        if key in mask or "*" in mask
    }
