"""Finding the message that a call names, and the related resources that it asks to see."""

import re
from collections.abc import Callable
from typing import Any

from simulator.http import JSON, Call, NotSimulatedError
from simulator.mailboxes.graph import GraphMailbox
from simulator.mailboxes.graph_mail import GraphMail
from simulator.mailboxes.mailbox import MailboxError
from simulator.microsoft.errors import graph_error
from simulator.microsoft.filters import Filter
from simulator.microsoft.graph import folder_of, mailbox_of
from simulator.microsoft.meetings import MEETING_ID, meeting_of
from simulator.microsoft.odata import known_selection
from simulator.microsoft.render import ATTACHMENT_PROPERTIES, View, rendered

_EXPANDED = re.compile(r"(\w+)(?:\(\$(\w+)=((?:[^()']|'[^']*')*)\))?(?:,|$)")
_TEXT = re.compile(r"'([^']*)'")
_SIZE = "integer 0xe08"


def find_mail(mailbox: GraphMailbox, mail_id: str) -> GraphMail:
    """Return a mail by either kind of id.

    Raises:
        ApiError: 404, there is none.
    """
    try:
        return mailbox.find(mail_id)
    except MailboxError as error:
        raise graph_error(404, "ErrorItemNotFound", "The specified object was not found in the store.") from error


def mail_of(call: Call) -> GraphMail:
    """Return the message that a call names, in the folder that it names.

    Raises:
        ApiError: 404, there is none.
    """
    mail = find_mail(mailbox_of(call), call.params["id"])
    if "folder" in call.params and folder_of(call).id != mail.folder:
        raise graph_error(404, "ErrorItemNotFound", "The specified object was not found in the store.")
    return mail


def property_key(name: str) -> str:
    """Return an extended property's id in one spelling: lower case, numbers without leading zeros."""
    return re.sub(r"0x0*", "0x", name.strip().lower())


def expander(call: Call, view: View) -> Callable[[GraphMail], JSON] | None:
    """Return a function that gives the resources of $expand for a message.

    Raises:
        NotSimulatedError: The simulator does not know one of them.
    """
    text = call.first("$expand").strip()
    if not text:
        return None
    found: list[Callable[[GraphMail], JSON]] = []
    at = 0
    while at < len(text):
        match = _EXPANDED.match(text, at)
        if match is None:
            raise NotSimulatedError(f"{text} in $expand")
        found.append(_related(match[1], match[2] or "", match[3] or "", view))
        at = match.end()
    return lambda mail: {key: value for one in found for key, value in one(mail).items()}


def _related(name: str, option: str, value: str, view: View) -> Callable[[GraphMail], JSON]:
    if name == "attachments" and option in {"", "select"}:
        # A property of a derived type has the type before it: microsoft.graph.fileAttachment/contentId.
        plain = ",".join(part.strip().rpartition("/")[2] for part in value.split(","))
        fields = frozenset(known_selection(plain, ATTACHMENT_PROPERTIES, "an attachment"))
        return lambda mail: {
            "attachments": [view.attachment(mail, one, fields) for one in rendered(mail.source).attachments]
        }
    if name == "singleValueExtendedProperties" and option == "filter":
        Filter.read(value, {"id": str})
        names = _TEXT.findall(value)
        return lambda mail: _properties(mail, names)
    raise NotSimulatedError(f"{name}({option}) in $expand")


def _properties(mail: GraphMail, names: list[str]) -> JSON:
    """Return the extended properties that a filter over their ids names; the list is absent when there is none."""
    known = {
        _SIZE: str(len(mail.source.raw())),
        **{property_key(name): value for name, value in mail.properties.items()},
    }
    if meeting := meeting_of(mail.source):
        known[property_key(MEETING_ID)] = meeting
    found: list[dict[str, Any]] = [
        {"id": name, "value": known[property_key(name)]} for name in names if property_key(name) in known
    ]
    return {"singleValueExtendedProperties": found} if found else {}
