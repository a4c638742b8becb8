"""The operations of a mailbox that a send needs, at either provider."""

from collections.abc import Sequence
from typing import Protocol

from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.processor.mailbox.failures import Remedy, Rule, SourceError
from services.processor.outbox.rows import File, Found, SendRow
from services.providers.failures import Meaning

_NOT_CONNECTED = frozenset({
    "ClientConnectorError", "ClientConnectorDNSError", "ClientConnectorSSLError", "ClientConnectorCertificateError",
    "ClientProxyConnectionError", "ConnectionTimeoutError",
})  # fmt: skip
"""Names of aiohttp's errors from before a connection was there."""
_BEFORE_PROCESSING = frozenset({401, 429})
_QUOTA = frozenset({400, 403})
_SEND_AS_DENIED = "ErrorSendAsDenied"
SENDER_NOT_PERMITTED = "SENDER_NOT_PERMITTED"
"""The reason of a mail whose sender is no identity of its account."""
_CLIENT_ERRORS = (400, 500)
_REFUSALS = frozenset({Meaning.FORBIDDEN, Meaning.FINAL, Meaning.MAILBOX_UNAVAILABLE})


class MailNotMadeError(SourceError):
    """The mail cannot be written as the provider takes it; the provider was not asked.

    Args:
        detail: A sentence for people, without content.
        reason: The reason from the error catalogue.
    """

    def __init__(self, detail: str, reason: str = "SEND_REFUSED") -> None:
        super().__init__(Rule(Remedy.PERMANENT, reason), detail, meaning=Meaning.FINAL)


class HistoryLostError(SourceError):
    """The provider has dropped the part of the mailbox's history that would show the mail.

    Args:
        error: The provider's refusal.
    """

    def __init__(self, error: SourceError) -> None:
        detail = f"the mailbox's history does not reach back to the mail any more: {error.detail}"
        rule = Rule(Remedy.LATER, "PROVIDER_UNAVAILABLE")
        super().__init__(rule, detail, None, error.code, Meaning.PASSING, error.status)


class SendingMailbox(Protocol):
    """One mailbox that sends."""

    async def anchor(self) -> str:
        """Return the place in the mailbox's history from which a submission will be found; empty where none is needed.

        Raises:
            SourceError: Any failure, classified by the table of failures.
        """

    async def find(self, row: SendRow) -> Found:
        """Look the messages of a send up in all folders, drafts included.

        Raises:
            HistoryLostError: The mailbox does not show any more what was submitted.
            SourceError: A query failed, which proves nothing about the mail.
        """

    async def address(self, row: SendRow) -> pb2.NewMail:
        """Read the original of an answer or a forward, and derive the recipients and the subject from it.

        Raises:
            MailNotMadeError: The original is gone, is a draft, or names no address that could be answered.
            SourceError: Any other failure, classified by the table of failures.
        """

    async def received(self, wanted: pb2.SendAttachment, most_bytes: int) -> File:
        """Read an attachment of a received mail, of at most so many bytes.

        Raises:
            MailNotMadeError: The attachment or its mail is gone, or it is too large.
            SourceError: Any other failure, classified by the table of failures.
        """

    async def draft(self, row: SendRow, files: Sequence[File] = ()) -> str:
        """Make the draft with the send's mark, and return its id; empty where no draft is needed.

        Raises:
            SourceError: Any failure; the draft may exist.
        """

    async def submit(self, row: SendRow) -> str:
        """Submit the mail; return the id of the sent mail if the answer names it, else nothing.

        Raises:
            SourceError: Any failure; see `is_unprocessed` and `is_refused`.
        """

    async def discard(self, message_id: str) -> None:
        """Delete a draft for good. Safe to call again.

        Raises:
            SourceError: Any failure but that it is gone.
        """


def is_unprocessed(error: SourceError) -> bool:
    """Return whether a request was surely not processed, so that it may be repeated whatever it does.

    401 and 429 are refusals before processing, and so are Gmail's 403 for its quota and Exchange's 400 and 403 for the
    limit of a day; without a connection nothing was sent. 5xx, with or without `Retry-After`, a timeout and a lost
    connection say nothing: each came with mail sent.
    """
    if error.meaning is None:  # TokenVault lent no token: the provider was not asked
        return True
    is_quota = error.status in _QUOTA and error.meaning is Meaning.THROTTLED
    return is_quota or error.status in _BEFORE_PROCESSING or error.code in _NOT_CONNECTED


def refusal_of(error: SourceError, *, names_sender: bool) -> str:
    """Return the reason of a refusal; see `is_refused`.

    Args:
        error: The refusal.
        names_sender: Whether the request names the sender.
    """
    if isinstance(error, MailNotMadeError):
        return error.reason
    return SENDER_NOT_PERMITTED if names_sender and error.code == _SEND_AS_DENIED else "SEND_REFUSED"


def is_refused(error: SourceError) -> bool:
    """Return whether a request was refused for good: by the provider, which only its 4xx answers say, or before it."""
    if isinstance(error, MailNotMadeError):
        return True
    is_clear = _CLIENT_ERRORS[0] <= error.status < _CLIENT_ERRORS[1] and error.code != "answer_too_large"
    return is_clear and error.meaning in _REFUSALS
