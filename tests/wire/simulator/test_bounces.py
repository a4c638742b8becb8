"""Mail that cannot be delivered comes back to its sender as a report."""

import base64
from typing import Any

import pytest

from simulator.eml import parse


async def send(provider: Any, *to: str) -> str:
    """Sends a mail by the provider's own API and returns the Message-ID that it went out with."""
    if "graph" in provider.base:
        people = [{"emailAddress": {"address": one}} for one in to]
        message = {"subject": "Offer", "toRecipients": people}
        assert 202 == (await provider.call("POST", "/me/sendMail", json={"message": message})).status_code
        (sent,) = (await provider.get("/me/mailFolders/sentitems/messages"))["value"]
        return str(sent["internetMessageId"])
    raw = base64.urlsafe_b64encode(f"To: {', '.join(to)}\r\nSubject: Offer\r\n\r\nHi\r\n".encode()).decode()
    sent = (await provider.call("POST", "/messages/send", json={"raw": raw})).json()
    headers = (await provider.get(f"/messages/{sent['id']}?format=metadata"))["payload"]["headers"]
    return str(next(one["value"] for one in headers if one["name"] == "Message-ID"))


@pytest.mark.parametrize("kind", ["graph", "gmail"])
async def test_a_report_names_each_recipient_and_the_mail_that_went_out(kind, graph, gmail, control):
    sender, other = (graph, gmail) if kind == "graph" else (gmail, graph)
    await control.update_account(other.account, hasMailbox=False)
    sent = await send(sender, "a@undeliverable.test", other.account, "fine@elsewhere.test")
    mails = (await control.truth(sender.account))["messages"]
    report = next(one for one in mails if not one["subject"].startswith("Offer"))
    answer = await control.request("GET", f"/accounts/{sender.account}/messages/{report['id']}/eml")
    eml = base64.b64decode(answer["emlBase64"])
    root = parse(eml)
    assert ("multipart/report", "auto-replied", sent) == (
        root.content_type, root.header("Auto-Submitted"), root.header("In-Reply-To")
    )  # fmt: skip
    text, status, original = root.children
    assert ["text/plain", "message/delivery-status", "message/rfc822"] == [
        part.content_type for part in (text, status, original)
    ]
    assert sent == original.children[0].header("Message-ID")
    for name in ("a@undeliverable.test", other.account):
        assert f"Final-Recipient: rfc822; {name}" in eml.decode()
    assert "Final-Recipient: rfc822; fine@elsewhere.test" not in eml.decode()
