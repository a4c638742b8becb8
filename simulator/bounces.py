"""Reports of mail that could not be delivered, in the forms of six servers: two are the providers' own (RFC 3464)."""

import email
import email.policy
from dataclasses import dataclass
from email.message import Message
from email.mime.base import MIMEBase
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

_STATUS = "5.1.1"
_REASON = "550 5.1.1 The email account that you tried to reach does not exist."


@dataclass(frozen=True)
class Form:
    """The traits of the reports of one kind of server.

    Args:
        author: Its author before the domain.
        status: The status of each recipient; empty for a report without a part about the status.
        cites: Whether In-Reply-To and References have the mail's Message-ID.
        original: The media type of the returned mail; empty for none.
        is_mixed: Whether it does not call itself a report.
    """

    author: str = "MAILER-DAEMON"
    status: str = _STATUS
    cites: bool = True
    original: str = "message/rfc822"
    is_mixed: bool = False


FORMS = {
    "exchange": Form("MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e"),
    "gmail": Form("mailer-daemon"),
    "postfix": Form(cites=False),
    "zoho": Form("mailer-daemon", status="550", original="text/rfc822"),
    "yahoo": Form("mailer-daemon", status="", cites=False),
    "workmail": Form("postmaster", status="", cites=False, is_mixed=True),
}


def report(form: str, original: bytes, failed: list[str], *, sender: str, date: str, message_id: str) -> bytes:
    """Return the report to a sender about all recipients that a mail did not reach.

    The subject of Exchange's is in the language of the mailbox, so that no program can tell a report by it.

    Args:
        form: One of `FORMS`.
        original: The mail.
        failed: The recipients, at least one.
        sender: The sender's address.
        date: Date of the report.
        message_id: Message-ID of the report.
    """
    mail = email.message_from_bytes(original, policy=email.policy.compat32)
    about, chosen = str(mail.get("Message-ID", "")), FORMS[form]
    made = MIMEMultipart("mixed") if chosen.is_mixed else MIMEMultipart("report", report_type="delivery-status")
    host = {"exchange": sender.rpartition("@")[2], "gmail": "googlemail.com"}.get(form, f"{form}.test")
    subject = (
        f"Unzustellbar: {mail.get('Subject', '')}" if form == "exchange" else "Delivery Status Notification (Failure)"
    )
    for name, value in (
        *(("From", f"<{chosen.author}@{host}>"), ("To", sender), ("Subject", subject), ("Date", date)),
        *(("Message-ID", message_id), *_marks(form, failed)),
        *((("In-Reply-To", about), ("References", about)) if chosen.cites else ()),
    ):
        made[name] = value
    made.attach(MIMEText("\n".join(_words(one, has_code=not chosen.status) for one in failed)))
    if chosen.status:
        made.attach(_status(failed, host, chosen.status, about if form == "gmail" else ""))
    made.attach(_returned(mail, chosen.original))
    return made.as_bytes(policy=email.policy.SMTP)


def _marks(form: str, failed: list[str]) -> list[tuple[str, str]]:
    """Return the header fields that mark the report as one."""
    marks = {
        "exchange": [("Auto-Submitted", "auto-replied"), ("X-MS-Exchange-Message-Is-Ndr", "")],
        "gmail": [("Auto-Submitted", "auto-replied"), ("X-Failed-Recipients", ", ".join(failed))],
        "postfix": [("Auto-Submitted", "auto-replied"), ("Return-Path", "<>")],
    }
    return marks.get(form, [("Return-Path", "<>")])


def _words(recipient: str, *, has_code: bool) -> str:
    words = f"The message could not be delivered to {recipient}."
    return f"{words}\n{_REASON}" if has_code else words


def _returned(mail: Message, media_type: str) -> Message:
    if media_type == "message/rfc822":
        return MIMEMessage(mail)
    part = MIMEBase(*media_type.split("/"))
    part.set_payload(mail.as_string())
    return part


def _status(failed: list[str], host: str, status: str, about: str) -> MIMEBase:
    """Return the part that programs read: one block about the mail, and one about each recipient."""
    blocks = [{"Reporting-MTA": f"dns; {host}", **({"X-Original-Message-ID": about} if about else {})}]
    for one in failed:
        block = {"Final-Recipient": f"rfc822; {one}", "Action": "failed", "Status": status}
        more = {"Remote-MTA": f"dns; {one.rpartition('@')[2]}"} if about else {}
        blocks.append({**block, **more, "Diagnostic-Code": f"smtp; {_REASON}"})
    part = MIMEBase("message", "delivery-status")
    messages: list[Message | str] = []
    for block in blocks:
        message = Message()
        for name, value in block.items():
            message[name] = value
        messages.append(message)
    part.set_payload(messages)
    return part
