"""Mails for tests of search."""

from collections.abc import Sequence

from mailmesh.mail.v1 import message_pb2


def mail(
    text: str = "",
    subject: str = "",
    sender: str = "ada@mail.example.com",
    to: Sequence[str] = (),
    files: Sequence[str] = (),
) -> message_pb2.MailMessage:
    made = message_pb2.MailMessage(subject=subject, folder_id="inbox", label_ids=["INBOX"])
    made.from_address.address = sender
    made.body.text = text
    for one in to:
        made.to.add(address=one)
    for name in files:
        made.attachments.add(name=name)
    return made
