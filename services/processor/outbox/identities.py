"""The identities of a Google account: the addresses that Gmail lets it send from."""

from collections.abc import Collection

from services.processor.mailbox.access import MailboxAccess
from services.processor.outbox.mailbox import SENDER_NOT_PERMITTED, MailNotMadeError


async def identities(access: MailboxAccess, base: str) -> Collection[str]:
    """Return the account's verified addresses, in lower case.

    Raises:
        SourceError: Any failure, classified by the table of failures.
    """
    answer = await access.call("send_identities", f"{base}/settings/sendAs")
    listed = [one for one in answer.get("sendAs") or () if isinstance(one, dict)]
    usable = [one for one in listed if one.get("isPrimary") is True or one.get("verificationStatus") == "accepted"]
    return {str(one.get("sendAsEmail") or "").lower() for one in usable}


async def check_sender(access: MailboxAccess, base: str, address: str) -> None:
    """Refuse an address that the account may not send from: Gmail would replace it silently.

    Raises:
        MailNotMadeError: The address is not one of the verified ones.
        SourceError: Any other failure, classified by the table of failures.
    """
    if address.lower() not in await identities(access, base):
        raise MailNotMadeError("the address in From is no verified address of the account", SENDER_NOT_PERMITTED)
