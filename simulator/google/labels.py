"""Gmail's labels."""

import re

from simulator.google.errors import api_error
from simulator.google.gmail import AUTH, READ, USER, WRITE, mailbox_of
from simulator.http import JSON, Call, Operations, Reply
from simulator.mailboxes.gmail import GmailMailbox
from simulator.mailboxes.gmail_mail import SYSTEM_LABELS

_SCOPES = (*WRITE, f"{AUTH}gmail.labels")
_READ = (*READ, f"{AUTH}gmail.labels")
_SHOWN = ("labelListVisibility", "messageListVisibility", "color")
_IGNORED = ("id", "type", "messagesTotal", "messagesUnread", "threadsTotal", "threadsUnread")
_VALUES = {
    "labelListVisibility": {"labelShow", "labelShowIfUnread", "labelHide"},
    "messageListVisibility": {"show", "hide"},
}
_NAME_MAX = 225
_RESERVED = ("TRAVEL", "FINANCE")


class Labels:
    """The label resource."""

    def register(self, operations: Operations) -> None:
        """Add the resource to the provider's table; units as in the quota table of new projects."""
        add, many = operations.add, f"{USER}/labels"
        one = f"{many}/{{label}}"
        add("gmail.labels.list", "GET", many, self.list, scopes=_READ, units=1)
        add("gmail.labels.get", "GET", one, self.get, scopes=_READ, units=1)
        add("gmail.labels.create", "POST", many, self.create, scopes=_SCOPES, units=5)
        add("gmail.labels.patch", "PATCH", one, self.change, scopes=_SCOPES, units=5)
        add("gmail.labels.update", "PUT", one, self.change, scopes=_SCOPES, units=5)
        add("gmail.labels.delete", "DELETE", one, self.delete, scopes=_SCOPES, units=5)

    def list(self, call: Call) -> Reply:
        """Return all labels, without counts."""
        mailbox = mailbox_of(call)
        names = [*SYSTEM_LABELS, *mailbox.user_labels]
        return Reply(200, {"labels": [_shown(mailbox, name) for name in names]})

    def get(self, call: Call) -> Reply:
        """Return one label with its counts."""
        mailbox, name = mailbox_of(call), _label(call)
        held = [mail for mail in mailbox.mails.values() if name in mail.labels]
        unread = [mail for mail in held if "UNREAD" in mail.labels]
        counts = {
            "messagesTotal": len(held),
            "messagesUnread": len(unread),
            "threadsTotal": len({mail.thread for mail in held}),
            "threadsUnread": len({mail.thread for mail in unread}),
        }
        return Reply(200, {**_shown(mailbox, name), **counts})

    def create(self, call: Call) -> Reply:
        """Make a label."""
        mailbox, body = mailbox_of(call), _read(call)
        name = _name(mailbox, str(body.get("name") or ""), "")
        label = mailbox.add_label(name)
        mailbox.label_settings[label] = _settings(body)
        return Reply(200, _shown(mailbox, label))

    def change(self, call: Call) -> Reply:
        """Change a label's name or how it is shown; its id stays."""
        mailbox, label, body = mailbox_of(call), _own(call), _read(call)
        if "name" in body:
            mailbox.user_labels[label] = _name(mailbox, str(body["name"] or ""), label)
        mailbox.label_settings[label] = {**mailbox.label_settings.get(label, {}), **_settings(body)}
        return Reply(200, _shown(mailbox, label))

    def delete(self, call: Call) -> Reply:
        """Delete a label and take it off all messages."""
        mailbox_of(call).remove_label(_own(call))
        return Reply(204)


def _read(call: Call) -> JSON:
    return call.fields(("name", *_SHOWN, *_IGNORED))


def _settings(body: JSON) -> JSON:
    for name, values in _VALUES.items():
        if name in body and body[name] not in values:
            raise api_error(400, "invalidArgument", f"Invalid value at 'label.{name}': {body[name]}")
    return {name: body[name] for name in _SHOWN if name in body}


def _name(mailbox: GmailMailbox, name: str, label: str) -> str:
    """Return a name that a label may have: none that is reserved or taken, whatever its case and punctuation."""
    if not name or len(name) > _NAME_MAX or name.upper() in {*SYSTEM_LABELS, *_RESERVED}:
        raise api_error(400, "invalidArgument", "Invalid label name")
    if any(_bare(other) == _bare(name) and key != label for key, other in mailbox.user_labels.items()):
        raise api_error(409, "aborted", "Label name exists or conflicts")
    return name


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower()) or name


def _label(call: Call) -> str:
    name = call.params["label"]
    if not mailbox_of(call).has_label(name):
        raise api_error(404, "notFound", "Requested entity was not found.")
    return name


def _own(call: Call) -> str:
    name = _label(call)
    if name in SYSTEM_LABELS:
        raise api_error(400, "invalidArgument", "Invalid update request")
    return name


def _shown(mailbox: GmailMailbox, label: str) -> JSON:
    if label in SYSTEM_LABELS:
        return {"id": label, "name": label, "type": "system"}
    return {"id": label, "name": mailbox.user_labels[label], "type": "user", **mailbox.label_settings.get(label, {})}
