"""The fates of a mail on its way out of a Google mailbox, and mail put in without sending, by Google's client."""

import asyncio
import base64
import io
from typing import Any

import pytest
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaIoBaseUpload

from tests.wire.simulator.sdk import gmail_client

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
MINE = "<mine@mailmesh.test>"
DATE = "Tue, 03 Mar 2020 04:05:06 +0000"


@pytest.fixture
def service(gmail, simulator) -> Any:
    with gmail_client(gmail, simulator) as made:
        yield made


def mail(**headers: str) -> bytes:
    fields = {"To": "x@elsewhere.test", "Subject": "Offer", "Message-ID": MINE, **headers}
    return ("".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\nHi\r\n").encode()


def encoded(content: bytes) -> dict[str, str]:
    return {"raw": base64.urlsafe_b64encode(content).decode()}


async def run(request: Any) -> Any:
    """Runs a request of the blocking client beside the loop."""
    return await asyncio.to_thread(request.execute)


async def send(service: Any, content: bytes) -> dict[str, Any]:
    return dict(await run(service.messages().send(userId="me", body=encoded(content))))


async def headers(service: Any, message: dict[str, Any]) -> dict[str, str]:
    found = await run(service.messages().get(userId="me", id=message["id"], format="metadata"))
    return {one["name"]: one["value"] for one in found["payload"]["headers"]}


@pytest.mark.parametrize("fate", ["kept", "rewritten"])
async def test_a_message_id_of_ones_own_is_kept_or_rewritten_and_then_kept_beside(service, control, fate):
    await control.set(gmail_message_ids=fate)
    shown = await headers(service, await send(service, mail()))
    found = await run(service.messages().list(userId="me", q=f"rfc822msgid:{MINE}"))
    assert (fate == "kept", fate == "kept") == (shown["Message-ID"] == MINE, "messages" in found)
    assert (MINE if fate == "rewritten" else None) == shown.get("X-Google-Original-Message-ID")


@pytest.mark.parametrize("fate", ["kept", "changed"])
async def test_a_sent_draft_keeps_its_messages_id_or_not(service, control, fate):
    await control.set(gmail_sent_draft_ids=fate)
    draft = await run(service.drafts().create(userId="me", body={"message": encoded(mail())}))
    sent = await run(service.drafts().send(userId="me", body={"id": draft["id"]}))
    assert (["SENT"], fate == "kept") == (sent["labelIds"], sent["id"] == draft["message"]["id"])
    with pytest.raises(HttpError) as gone:
        await run(service.drafts().send(userId="me", body={"id": draft["id"]}))
    assert 404 == gone.value.status_code


async def test_a_foreign_from_is_replaced_without_a_word_until_it_is_accepted(service, gmail, control):
    async def author() -> str:
        return (await headers(service, await send(service, mail(From="Sales <sales@fabrikam.test>"))))["From"]

    assert gmail.account in await author()
    await control.update_account(gmail.account, sendAs={"sales@fabrikam.test": "pending"})
    assert gmail.account in await author()
    await control.update_account(gmail.account, sendAs={"sales@fabrikam.test": "accepted"})
    assert "Sales <sales@fabrikam.test>" == await author()


async def test_a_foreign_from_can_be_refused(service, control):
    await control.set(gmail_foreign_from="refused")
    with pytest.raises(HttpError) as refused:
        await send(service, mail(From="boss@elsewhere.test"))
    assert 400 == refused.value.status_code


async def test_addresses_to_send_from_are_listed_and_one_made_the_usual(gmail, simulator, control):
    await control.update_account(gmail.account, sendAs={"sales@fabrikam.test": "accepted"})
    scopes = "https://mail.google.com/ https://www.googleapis.com/auth/gmail.settings.basic"
    gmail.tokens = await control.issue_tokens(gmail.account, scopes=scopes)
    with gmail_client(gmail, simulator) as service:
        listed = (await run(service.settings().sendAs().list(userId="me")))["sendAs"]
        assert [(gmail.account, True, True), ("sales@fabrikam.test", None, None)] == [
            (one["sendAsEmail"], one.get("isPrimary"), one.get("isDefault")) for one in listed
        ]
        assert "accepted" == listed[1]["verificationStatus"]
        alias = (
            service.settings().sendAs().patch(userId="me", sendAsEmail="sales@fabrikam.test", body={"isDefault": True})
        )
        assert (await run(alias))["isDefault"]
        assert "sales@fabrikam.test" in (await headers(service, await send(service, mail())))["From"]
        with pytest.raises(HttpError) as refused:
            await run(service.settings().sendAs().create(userId="me", body={"sendAsEmail": "a@fabrikam.test"}))
        assert 403 == refused.value.status_code
    for path in ("/settings/sendAs", f"/settings/sendAs/{gmail.account}"):
        await gmail.get(path)
    await gmail.get("/settings/sendAs/nobody@fabrikam.test", 404)


async def test_a_mailbox_sends_so_many_a_day(service, control):
    await control.set(gmail_sends_per_day=1)
    await send(service, mail())
    with pytest.raises(HttpError) as refused:
        await send(service, mail())
    assert (429, "rateLimitExceeded") == (refused.value.status_code, refused.value.error_details[0]["reason"])
    await control.advance_clock(86_401)


async def test_a_lost_answer_is_no_lost_mail_and_stands_in_the_history(service, gmail, control):
    start = (await gmail.get("/profile"))["historyId"]
    await control.lag(gmail.account, list_seconds=600)
    await control.add_fault("status", endpoint="gmail.messages.send", status=503, phase="after", count=1)
    with pytest.raises(HttpError):
        await send(service, mail())
    assert "messages" not in await run(service.messages().list(userId="me", labelIds=["SENT"]))
    history = service.history().list(userId="me", startHistoryId=start, historyTypes=["messageAdded"], labelId="SENT")
    assert 1 == len((await run(history))["history"])


# Insert and import


async def test_an_inserted_mail_has_the_labels_and_the_time_that_are_asked_for(service, gmail, control):
    body = {**encoded(mail(Date=DATE)), "labelIds": ["INBOX", "UNREAD"]}
    made = await run(service.messages().insert(userId="me", body=body))
    dated = await run(
        service.messages().insert(userId="me", body=encoded(mail(Date=DATE)), internalDateSource="dateHeader")
    )
    assert (["INBOX", "UNREAD"], []) == (made["labelIds"], dated["labelIds"])
    times = [
        int((await run(service.messages().get(userId="me", id=one["id"], format="minimal")))["internalDate"])
        for one in (made, dated)
    ]
    assert (True, 1_583_208_306_000) == (times[0] > times[1], times[1])
    assert MINE == (await headers(service, made))["Message-ID"]


async def test_an_imported_mail_is_under_its_own_date_and_reaches_nobody(service, gmail, graph, control):
    content = mail(Date=DATE, To=graph.account)
    body = {**encoded(content), "labelIds": ["INBOX"]}
    made = await run(service.messages().import_(userId="me", body=body, neverMarkSpam=True))
    found = await run(service.messages().get(userId="me", id=made["id"], format="minimal"))
    assert ("1583208306000", ["INBOX"]) == (found["internalDate"], found["labelIds"])
    assert [] == (await control.truth(graph.account))["messages"]


@pytest.mark.parametrize("is_resumable", [False, True])
@pytest.mark.parametrize("method", ["insert", "import_"])
async def test_mail_put_in_may_be_uploaded(service, method, is_resumable):
    media = MediaIoBaseUpload(io.BytesIO(mail(Date=DATE)), "message/rfc822", resumable=is_resumable)
    put = getattr(service.messages(), method)
    made = await run(
        put(userId="me", body={"labelIds": ["STARRED"]}, media_body=media, internalDateSource="dateHeader")
    )
    found = await run(service.messages().get(userId="me", id=made["id"], format="minimal"))
    assert (["STARRED"], "1583208306000") == (found["labelIds"], found["internalDate"])


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/messages?internalDateSource=never", {}, 400),
        ("/messages?deleted=true", {}, 501),
        ("/messages", {"labelIds": ["Label_99"]}, 400),
        ("/messages", {"threadId": "19ffffffffffffff"}, 404),
        ("/messages", {"threadId": "no id"}, 400),
    ],
)
async def test_mail_that_google_would_not_put_in_is_refused(gmail, path, body, status):
    assert status == (await gmail.call("POST", path, json={**encoded(mail()), **body})).status_code
