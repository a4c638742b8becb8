"""Gmail's common rules: tokens, scopes, quota, and finding the mail that a call names."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import cast

from simulator.google.errors import api_error, api_reply, oauth_error
from simulator.google.partial import partial_reply
from simulator.http import JSON, Call, NotSimulatedError, Operation, Reply
from simulator.mailboxes.gmail import GmailMailbox
from simulator.mailboxes.gmail_mail import GmailMail
from simulator.mailboxes.mailbox import MailboxError
from simulator.state import World

USER = "/gmail/v1/users/{user}"
COMMON_QUERY = ("alt", "prettyPrint", "fields", "key", "quotaUser", "userIp", "access_token")
AUTH = "https://www.googleapis.com/auth/"
METADATA = f"{AUTH}gmail.metadata"
FULL = ("https://mail.google.com/", f"{AUTH}gmail.modify", f"{AUTH}gmail.readonly")
READ = (*FULL, METADATA)
WRITE = FULL[:2]
_LABELS_MAX = 100


class GmailRules:
    """Authentication, permissions and quota of every call."""

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
        # Pub/Sub and IAM are for service accounts, everything else for users.
        is_for_apps = operation.name.startswith(("pubsub.", "iam."))
        if call.grant is None or (call.grant.account is None and not is_for_apps):
            raise api_error(
                401, "authError", "Request had invalid authentication credentials. Expected OAuth 2 access token."
            )
        call.account = call.grant.account
        if operation.scopes and not operation.scopes & call.grant.scopes:
            raise api_error(403, "insufficientPermissions", "Request had insufficient authentication scopes.")
        if call.account is None:
            return
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

    def finish(self, call: Call, reply: Reply) -> Reply:
        """Leave in the answer the ``fields`` that the query names; JSON is the only form of an answer."""
        if call.first("alt", "json") != "json":
            raise NotSimulatedError(f"the form alt={call.first('alt')}")
        return partial_reply(call.first("fields"), reply)

    def failure(
        self, operation: str, status: int, code: str = "", *, message: str = "", retry_after: int | None = None
    ) -> Reply:
        """Return a failure: an OAuth body at the token endpoint, an API error elsewhere."""
        if operation not in {"google.token", "google.revoke"}:
            return api_reply(status, code, message, retry_after=retry_after)
        usual = {400: "invalid_grant", 401: "invalid_client"}.get(status, "internal_failure")
        name, _, subtype = (code or usual).partition(":")
        reply = oauth_error(
            name, "Token has been expired or revoked." if name == "invalid_grant" else "Try again.", status, subtype
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


def boolean(call: Call, name: str) -> bool:
    """Return a boolean of the query, False when it is not there.

    Raises:
        ApiError: 400, it is neither true nor false.
    """
    text = call.first(name, "false").lower()
    if text not in {"true", "false"}:
        raise api_error(400, "invalidArgument", f"Invalid value at '{name}' (TYPE_BOOL), \"{text}\"")
    return text == "true"


def boolean_of(body: JSON, name: str) -> bool:
    """Return a boolean of a body.

    Raises:
        ApiError: 400, it is of another type.
    """
    value = body[name]
    if not isinstance(value, bool):
        raise api_error(400, "invalidArgument", f"Invalid value at '{name}' (TYPE_BOOL), \"{value}\"")
    return value


def find_mail(mailbox: GmailMailbox, mail_id: str) -> GmailMail:
    """Return a mail by its id.

    Raises:
        ApiError: 404, there is none.
    """
    try:
        return mailbox.find(mail_id)
    except MailboxError as error:
        raise api_error(404, "notFound", "Requested entity was not found.") from error


def mail_of(call: Call) -> GmailMail:
    """Return the mail that a call names.

    Raises:
        ApiError: 404, there is none.
    """
    return find_mail(mailbox_of(call), call.params["id"])


def relabel(call: Call, mails: Iterable[GmailMail], known: tuple[str, ...] = ()) -> None:
    """Change the labels of mails as the body says.

    Raises:
        ApiError: 400, too many labels, one that there is not, or one both added and removed.
    """
    body = call.fields(("addLabelIds", "removeLabelIds", *known))
    add, remove = body.get("addLabelIds") or [], body.get("removeLabelIds") or []
    if len(add) > _LABELS_MAX or len(remove) > _LABELS_MAX:
        raise api_error(400, "invalidArgument", "Too many labels.")
    if set(add) & set(remove):
        raise api_error(
            400, "invalidArgument", f"Cannot both add and remove the same label: {sorted(set(add) & set(remove))}"
        )
    if fixed := {"SENT", "DRAFT"} & {*add, *remove}:
        raise api_error(400, "invalidArgument", f"Invalid label: {min(fixed)}")
    try:
        for mail in mails:
            mailbox_of(call).relabel(mail, add, remove)
    except MailboxError as error:
        raise api_error(400, "invalidArgument", f"Invalid label: {error}") from error
