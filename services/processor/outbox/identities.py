"""The identities of a Google account: the addresses that Gmail lets it send from."""

from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.identities import google_identities
from services.processor.outbox.mailbox import SENDER_NOT_PERMITTED, MailNotMadeError


async def verified(access: MailboxAccess, base: str) -> list[str]:
    """Return the account's verified addresses, as Gmail spells them.

    Raises:
        SourceError: Any failure, classified by the table of failures.
    """
    answer = await access.call("send_identities", f"{base}/settings/sendAs")
    return [one.address for one in google_identities(answer)]


async def check_sender(access: MailboxAccess, base: str, address: str) -> None:
    """Refuse an address that the account may not send from: Gmail would replace it silently.

    Raises:
        MailNotMadeError: The address is not one of the verified ones.
        SourceError: Any other failure, classified by the table of failures.
    """
    if address.lower() not in {one.lower() for one in await verified(access, base)}:
        raise MailNotMadeError("the address in From is no verified address of the account", SENDER_NOT_PERMITTED)
