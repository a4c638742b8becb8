"""Gmail's common rules (tokens, scopes, quota) and its messages."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from simulator.eml import Eml
from simulator.google.errors import api_error, api_reply, oauth_error
from simulator.google.render import View, b64url, find_attachment
from simulator.google.search import Search
from simulator.http import JSON, Call, Operation, Operations, Reply
from simulator.mailboxes.gmail import SYSTEM_LABELS, GmailMail, GmailMailbox
from simulator.mailboxes.mailbox import MailboxError
from simulator.state import World

USER = "/gmail/v1/users/{user}"
_AUTH = "https://www.googleapis.com/auth/"
METADATA = f"{_AUTH}gmail.metadata"
FULL = ("https://mail.google.com/", f"{_AUTH}gmail.modify", f"{_AUTH}gmail.readonly")
READ = (*FULL, METADATA)
WRITE = FULL[:2]


class GmailRules:
    """Who calls, whether they may, and how many quota units are left."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._used: dict[tuple[str, str], tuple[int, int]] = {}

    def normalize(self, path: str) -> str:
        """Leave the path as it is."""
        return path

    def identify(self, operation: Operation, call: Call) -> None:
        """Check the bearer token and the mailbox; at the token endpoint only find out whose grant it is."""
        tokens = self._world.tokens["googlews"]
        if not operation.is_api:
            if operation.name in {"google.token", "google.revoke"}:
                form = call.form()
                call.account = tokens.account_of(form.get("refresh_token") or form.get("code") or form.get("token", ""))
            return
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        token = token if scheme.lower() == "bearer" else call.first("access_token")
        call.grant = tokens.grant(token)
        if call.grant is None or call.grant.account is None:
            raise api_error(
                401, "authError", "Request had invalid authentication credentials. Expected OAuth 2 access token."
            )
        call.account = call.grant.account
        if operation.scopes and not operation.scopes & call.grant.scopes:
            raise api_error(403, "insufficientPermissions", "Request had insufficient authentication scopes.")
        user = call.params.get("user", "me")
        if user != "me" and user.lower() != call.account.address.lower():
            raise api_error(403, "forbidden", f"Delegation denied for {call.account.address}")
        if "user" in call.params and not call.account.has_mailbox:
            raise api_error(400, "failedPrecondition", "Mail service not enabled")

    @contextmanager
    def slot(self, operation: Operation, call: Call) -> Iterator[None]:
        """Take the operation's quota units from the user's minute."""
        limit = self._world.knobs.gmail_units_per_minute
        if limit and operation.units and call.account and call.grant:
            key = (call.grant.client_id, call.account.id)
            minute = int(self._world.clock.seconds() // 60)
            began, used = self._used.get(key, (minute, 0))
            used = used if began == minute else 0
            if used + operation.units > limit:
                raise api_error(
                    429,
                    "rateLimitExceeded",
                    "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute per user'.",
                )
            self._used[key] = (minute, used + operation.units)
        yield

    def failure(self, operation: str, status: int, code: str, retry_after: int | None) -> Reply:
        """Return a fault's answer: an OAuth body at the token endpoint, an API error elsewhere."""
        if operation not in {"google.token", "google.revoke"}:
            return api_reply(status, code, retry_after=retry_after)
        usual = {400: "invalid_grant", 401: "invalid_client"}.get(status, "internal_failure")
        reply = oauth_error(
            code or usual,
            "Token has been expired or revoked." if (code or usual) == "invalid_grant" else "Try again.",
            status,
        ).reply
        if retry_after is not None:
            reply.headers["retry-after"] = str(retry_after)
        return reply


def mailbox_of(call: Call) -> GmailMailbox:
    """Return the mailbox that the call is about."""
    assert call.account is not None  # noqa: S101  every mailbox operation has a token with an account
    return cast("GmailMailbox", call.account.mailbox)


def number(call: Call, name: str, default: int, most: int) -> int:
    """Return a number from the query, cut to ``most``.

    Raises:
        ApiError: 400, it is not a number.
    """
    text = call.first(name)
    if text and not text.isdecimal():
        raise api_error(400, "invalidArgument", f"Invalid value at '{name}' (TYPE_UINT32), \"{text}\"")
    return max(1, min(int(text or default), most))


class Gmail:
    """Profile, labels, messages and attachments."""

    def __init__(self, world: World) -> None:
        self._world = world

    def register(self, operations: Operations) -> None:
        """Add the resources to the provider's table; units as in the quota table of new projects."""
        add = operations.add
        add("gmail.profile", "GET", f"{USER}/profile", self.profile, scopes=READ, units=1)
        add("gmail.labels.list", "GET", f"{USER}/labels", self.labels, scopes=READ, units=1)
        add("gmail.labels.get", "GET", f"{USER}/labels/{{label}}", self.label, scopes=READ, units=1)
        add("gmail.messages.list", "GET", f"{USER}/messages", self.list, scopes=READ, units=5)
        one = f"{USER}/messages/{{id}}"
        add(
            "gmail.messages.send",
            "POST",
            f"{USER}/messages/send",
            self.send,
            scopes=(*WRITE, f"{_AUTH}gmail.send"),
            units=100,
        )
        add(
            "gmail.messages.batch_modify",
            "POST",
            f"{USER}/messages/batchModify",
            self.batch_modify,
            scopes=WRITE,
            units=50,
        )
        add("gmail.messages.get", "GET", one, self.get, scopes=READ, units=20)
        add("gmail.messages.delete", "DELETE", one, self.delete, scopes=FULL[:1], units=20)
        add("gmail.messages.modify", "POST", f"{one}/modify", self.modify, scopes=WRITE, units=5)
        add("gmail.messages.trash", "POST", f"{one}/trash", self.trash, scopes=WRITE, units=20)
        add("gmail.messages.untrash", "POST", f"{one}/untrash", self.untrash, scopes=WRITE, units=20)
        add("gmail.attachments.get", "GET", f"{one}/attachments/{{attachment}}", self.attachment, scopes=FULL, units=20)

    def profile(self, call: Call) -> Reply:
        """Return the address, the counts and the present history id."""
        mailbox = mailbox_of(call)
        threads = (
            len({mail.thread for mail in mailbox.mails.values()}) if len(mailbox.mails) < 10_000 else len(mailbox.mails)
        )
        counts = {"messagesTotal": len(mailbox.mails), "threadsTotal": threads}
        return Reply(200, {"emailAddress": mailbox.address, **counts, "historyId": str(mailbox.history_id)})

    def labels(self, call: Call) -> Reply:
        """Return all labels."""
        mailbox = mailbox_of(call)
        system = [{"id": name, "name": name, "type": "system"} for name in SYSTEM_LABELS]
        own = [{"id": key, "name": name, "type": "user"} for key, name in mailbox.user_labels.items()]
        return Reply(200, {"labels": [*system, *own]})

    def label(self, call: Call) -> Reply:
        """Return one label with its counts."""
        mailbox, name = mailbox_of(call), call.params["label"]
        if name not in mailbox.user_labels and name not in SYSTEM_LABELS:
            raise api_error(404, "notFound", "Requested entity was not found.")
        held = [mail for mail in mailbox.mails.values() if name in mail.labels]
        unread = sum("UNREAD" in mail.labels for mail in held)
        kind = "user" if name in mailbox.user_labels else "system"
        return Reply(
            200,
            {
                "id": name,
                "name": mailbox.user_labels.get(name, name),
                "type": kind,
                "messagesTotal": len(held),
                "messagesUnread": unread,
            },
        )

    def list(self, call: Call) -> Reply:
        """Return a page of ids, newest first."""
        mailbox = mailbox_of(call)
        if call.first("q") and call.grant and not call.grant.scopes & set(FULL):
            raise api_error(403, "forbidden", "Metadata scope does not support 'q' parameter")
        search = Search.read(
            call.first("q"), call.every("labelIds"), includes_trash=call.first("includeSpamTrash") == "true"
        )
        found, token = search.page(mailbox, call.first("pageToken"), number(call, "maxResults", 100, 500))
        body: JSON = {"resultSizeEstimate": len(found) + (201 if token else 0)}
        if found:
            body["messages"] = [
                {"id": mailbox.id_of(mail.serial), "threadId": mailbox.id_of(mail.thread)} for mail in found
            ]
        if token:
            body["nextPageToken"] = token
        return Reply(200, body)

    def get(self, call: Call) -> Reply:
        """Return one message in the format asked for."""
        form = call.first("format", "full").lower()
        if form not in {"minimal", "metadata", "full", "raw"}:
            raise api_error(400, "invalidArgument", f"Invalid value at 'format': {form}")
        if form in {"full", "raw"} and call.grant and not call.grant.scopes & set(FULL):
            raise api_error(403, "forbidden", f"Metadata scope doesn't allow format {form.upper()}")
        view = View(
            mailbox_of(call),
            body_charset=self._world.knobs.gmail_body_charset,
            metadata_headers=tuple(call.every("metadataHeaders")),
            held_back_bytes=self._world.knobs.gmail_held_back_bytes,
        )
        return Reply(200, view.message(_mail(call), form))

    def attachment(self, call: Call) -> Reply:
        """Return one attachment's bytes."""
        part = find_attachment(_mail(call), call.params["attachment"])
        if part is None:
            raise api_error(400, "invalidArgument", "Invalid attachment token")
        return Reply(200, {"size": len(part.content), "data": b64url(part.content)})

    def modify(self, call: Call) -> Reply:
        """Change a message's labels."""
        mail = _mail(call)
        _relabel(call, mail)
        return Reply(200, View(mailbox_of(call)).message(mail, "minimal"))

    def batch_modify(self, call: Call) -> Reply:
        """Change the labels of up to a thousand messages."""
        mailbox = mailbox_of(call)
        ids = call.json_object().get("ids", [])
        if len(ids) > 1000:
            raise api_error(400, "invalidArgument", "Too many ids.")
        for given in ids:
            _relabel(call, _find(mailbox, str(given)))
        return Reply(204)

    def trash(self, call: Call) -> Reply:
        """Put a message into the trash."""
        mail = _mail(call)
        mailbox_of(call).trash(mail)
        return Reply(200, View(mailbox_of(call)).message(mail, "minimal"))

    def untrash(self, call: Call) -> Reply:
        """Take a message out of the trash."""
        mail = _mail(call)
        mailbox_of(call).restore(mail)
        return Reply(200, View(mailbox_of(call)).message(mail, "minimal"))

    def delete(self, call: Call) -> Reply:
        """Delete a message for good."""
        mailbox_of(call).delete(_mail(call))
        return Reply(204)

    def send(self, call: Call) -> Reply:
        """Send a mail given as base64url."""
        raw = str(call.json_object().get("raw", ""))
        try:
            content = base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4))
        except ValueError as error:
            raise api_error(400, "invalidArgument", "Invalid value for ByteString") from error
        mail = mailbox_of(call).deliver(Eml(content), labels=("SENT",), is_read=True)
        return Reply(200, View(mailbox_of(call)).message(mail, "minimal"))


def _find(mailbox: GmailMailbox, mail_id: str) -> GmailMail:
    try:
        return mailbox.find(mail_id)
    except MailboxError as error:
        raise api_error(404, "notFound", "Requested entity was not found.") from error


def _mail(call: Call) -> GmailMail:
    return _find(mailbox_of(call), call.params["id"])


def _relabel(call: Call, mail: GmailMail) -> None:
    body = call.json_object()
    add, remove = body.get("addLabelIds", []), body.get("removeLabelIds", [])
    if len(add) > 100 or len(remove) > 100:
        raise api_error(400, "invalidArgument", "Too many labels.")
    try:
        mailbox_of(call).relabel(mail, add, remove)
    except MailboxError as error:
        raise api_error(400, "invalidArgument", f"Invalid label: {error}") from error
