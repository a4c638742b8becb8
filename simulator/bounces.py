"""Reports of mail that could not be delivered, in the forms of Exchange Online and of Gmail (RFC 3464)."""

import email
import email.policy
from email.message import Message
from email.mime.base import MIMEBase
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

from simulator.accounts import Provider

_DIAGNOSTIC = "smtp; 550 5.1.1 The email account that you tried to reach does not exist."


def report(provider: Provider, original: bytes, failed: list[str], *, sender: str, date: str, message_id: str) -> bytes:
    """Return the report to a sender about all recipients that a mail did not reach.

    Its subject is in the language of the mailbox, so that no program can tell a report by it.

    Args:
        provider: Where the sender's mailbox is.
        original: The mail.
        failed: The recipients, at least one.
        sender: The sender's address.
        date: Date of the report.
        message_id: Message-ID of the report.
    """
    mail = email.message_from_bytes(original, policy=email.policy.compat32)
    about = str(mail.get("Message-ID", ""))
    made = MIMEMultipart("report", report_type="delivery-status")
    is_exchange = provider == "ms365"
    host = sender.rpartition("@")[2] if is_exchange else "googlemail.com"
    author = f"MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@{host}" if is_exchange else f"mailer-daemon@{host}"
    subject = f"Unzustellbar: {mail.get('Subject', '')}" if is_exchange else "Delivery Status Notification (Failure)"
    for name, value in (
        *(("From", f"<{author}>"), ("To", sender), ("Subject", subject), ("Date", date), ("Message-ID", message_id)),
        *(("In-Reply-To", about), ("References", about), ("Auto-Submitted", "auto-replied")),
        ("X-MS-Exchange-Message-Is-Ndr", "") if is_exchange else ("X-Failed-Recipients", ", ".join(failed)),
    ):
        made[name] = value
    made.attach(MIMEText("\n".join(f"The message could not be delivered to {one}." for one in failed)))
    made.attach(_status(failed, host, "" if is_exchange else about))
    made.attach(MIMEMessage(mail))
    return made.as_bytes(policy=email.policy.SMTP)


def _status(failed: list[str], host: str, about: str) -> MIMEBase:
    """Return the part that programs read: one block about the mail, and one about each recipient."""
    blocks = [{"Reporting-MTA": f"dns; {host}", **({"X-Original-Message-ID": about} if about else {})}]
    for one in failed:
        block = {"Final-Recipient": f"rfc822; {one}", "Action": "failed", "Status": "5.1.1"}
        more = {"Remote-MTA": f"dns; {one.rpartition('@')[2]}"} if about else {}
        blocks.append({**block, **more, "Diagnostic-Code": _DIAGNOSTIC})
    part = MIMEBase("message", "delivery-status")
    messages: list[Message | str] = []
    for block in blocks:
        message = Message()
        for name, value in block.items():
            message[name] = value
        messages.append(message)
    part.set_payload(messages)
    return part
