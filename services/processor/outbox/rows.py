"""A send as it is stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from mailmesh.processor.v1 import send_service_pb2 as pb2


class State(IntEnum):
    """The states of a send; the numbers are those of the contract and of the table."""

    QUEUED = pb2.SEND_STATE_QUEUED
    SCHEDULED = pb2.SEND_STATE_SCHEDULED
    SENDING = pb2.SEND_STATE_SENDING
    SENT = pb2.SEND_STATE_SENT
    FAILED = pb2.SEND_STATE_FAILED
    UNCERTAIN = pb2.SEND_STATE_UNCERTAIN
    CANCELLED = pb2.SEND_STATE_CANCELLED
    DRAFTED = pb2.SEND_STATE_DRAFTED


UNSUBMITTED = (State.QUEUED, State.SCHEDULED)
"""The states in which nothing was submitted since a caller or a person asked for the mail. Without resolutions, nothing
was submitted at all, and such a send can be cancelled."""


@dataclass(frozen=True)
class SendRow:
    """A send.

    Args:
        send_id: The send's UUID; also the value of the mark on its mail.
        tenant_id: The UUID of the tenant whose account sends.
        idempotency_key: The caller's key, unique for the tenant.
        digest: The digest of the request, to recognise the same key with other content.
        provider: "ms365" or "googlews".
        content: The request. After the outcome, and in lists, it has no body.
        addressed: The recipients and the subject of an answer or a forward, derived from the original; empty before a
            worker has read the original, and for a new mail.
        state: The state.
        reason: The reason of the last failure, from the error catalogue; empty without one.
        detail: A sentence for people about it.
        correlation_id: The correlation id of the call.
        created_at: When it was committed.
        send_at: The time before which it is not sent, or None.
        due_at: When a worker has to act next; None when it is done or waits for a person.
        deadline_at: The end of all attempts.
        finished_at: When it had its outcome.
        attempts: The failed attempts.
        prepared_at: When a worker first intended to make a draft; since then one may exist at the provider.
        draft_id: The provider's id of the draft that is or was submitted; empty before it is known.
        history_anchor: The Gmail history id from before the submission, or the last one up to which no sent mail was
            found; empty at Microsoft.
        submitted_at: When it was last submitted, or None.
        submissions: How often it was submitted without a sure refusal.
        accepted_at: When the provider accepted it, or None.
        message_id: The provider's id of the sent mail; empty when unknown.
        internet_message_id: The Message-ID that the provider stamped; empty when unknown.
        provider_thread_id: The provider's id of the conversation; empty when unknown.
        resolutions: How often a person decided.
        is_resolved: Whether a person decided the outcome.
        is_broken: Whether its sealed content does not open: `content` and `addressed` are empty, and nothing is sent.
    """

    send_id: str
    tenant_id: str
    idempotency_key: str
    digest: bytes
    provider: str
    content: pb2.SendRequest
    addressed: pb2.NewMail
    state: State
    reason: str
    detail: str
    correlation_id: str
    created_at: datetime
    send_at: datetime | None
    due_at: datetime | None
    deadline_at: datetime
    finished_at: datetime | None
    attempts: int
    prepared_at: datetime | None
    draft_id: str
    history_anchor: str
    submitted_at: datetime | None
    submissions: int
    accepted_at: datetime | None
    message_id: str
    internet_message_id: str
    provider_thread_id: str
    resolutions: int
    is_resolved: bool
    is_broken: bool = False

    @property
    def original_id(self) -> str:
        """The provider's id of the mail that is answered or forwarded; empty for a new mail."""
        return self.content.reply.message_id or self.content.forward.message_id

    @property
    def mail(self) -> pb2.NewMail:
        """The mail that is written: the caller's texts, to the recipients and under the subject as far as known."""
        written = written_of(self.content)
        if isinstance(written, pb2.NewMail):
            return written
        made = pb2.NewMail(text=written.text, html=written.html)
        made.MergeFrom(self.addressed)
        if isinstance(written, pb2.Forward) and not self.addressed.subject:
            made.MergeFrom(pb2.NewMail(to=written.to, cc=written.cc, bcc=written.bcc))
        return made


@dataclass(frozen=True)
class File:
    """An attachment.

    Args:
        name: Its file name, which may be empty.
        content_type: Its media type.
        content: Its bytes.
        content_id: The id by which the HTML shows it, without angle brackets; empty when it is not shown.
    """

    name: str
    content_type: str
    content: bytes
    content_id: str = ""


@dataclass(frozen=True)
class ReportRow:
    """A bounce or a complaint that fits a send.

    Args:
        send_id: The send's UUID.
        recipient: The recipient, as the send has it.
        is_complaint: Whether the recipient called the mail spam.
        bounce: The number of the contract's kind of bounce; 0 for a complaint.
        status: The enhanced status code, or the feedback type.
        diagnostic: The server's words, one line.
        reported_at: When mailmesh read the report.
        report_message_id: The provider's id of the mail that reports.
    """

    send_id: str
    recipient: str
    is_complaint: bool
    bounce: int
    status: str
    diagnostic: str
    reported_at: datetime
    report_message_id: str


@dataclass(frozen=True)
class MailCopy:
    """A message in the sender's mailbox that carries a send's mark.

    Args:
        message_id: The provider's id.
        is_draft: Whether it is a draft: not sent, or accepted and still waiting for transport.
        internet_message_id: Its Message-ID.
        thread_id: The provider's id of its conversation.
        is_spare: Whether it is a draft that was never completed: it is deleted, and never submitted.
    """

    message_id: str
    is_draft: bool
    internet_message_id: str = ""
    thread_id: str = ""
    is_spare: bool = False


@dataclass(frozen=True)
class Found:
    """The result of looking a send up.

    Args:
        copies: The messages that carry the send's mark, drafts included.
        anchor: The place in the history up to which no sent copy is; empty at Microsoft.
        is_complete: Whether the look-up reached the present. If it did not, the next one goes on from the anchor.
    """

    copies: Sequence[MailCopy]
    anchor: str = ""
    is_complete: bool = True


def written_of(content: pb2.SendRequest, kind: str | None = None) -> pb2.NewMail | pb2.Reply | pb2.Forward:
    """Return the part of a request that has the texts, by default of its own kind; changes go to the request."""
    found: pb2.NewMail | pb2.Reply | pb2.Forward = getattr(content, kind or content.WhichOneof("kind") or "mail")
    return found


def head_and_body(content: pb2.SendRequest) -> tuple[bytes, bytes]:
    """Return a request in two parts: all but the body, and the body. One after the other they are the request."""
    head, body = pb2.SendRequest(), pb2.SendRequest()
    head.CopyFrom(content)
    written = written_of(head)
    texts = written_of(body, content.WhichOneof("kind"))
    texts.text, texts.html = written.text, written.html
    written.ClearField("text")
    written.ClearField("html")
    return head.SerializeToString(), body.SerializeToString()
