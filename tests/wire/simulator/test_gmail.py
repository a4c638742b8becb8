"""Gmail: history, messages, search, watch, Pub/Sub, quota and batches."""

import asyncio
import base64
import json
from email.message import EmailMessage
from typing import Any

import google.auth.transport.requests
import google.oauth2.id_token
import jwt
import pytest
import requests

from tests.wire.simulator.test_graph_mail import RICH

TOPIC = {"topicName": "projects/mailmesh-simulator/topics/gmail", "labelIds": ["INBOX"]}


def data_of(push: dict[str, Any]) -> dict[str, Any]:
    return json.loads(base64.b64decode(push["message"]["data"]))


async def history(gmail: Any, start: str, **query: Any) -> list[dict[str, Any]]:
    """All records after an id."""
    records: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    while True:
        page = await gmail.get("/history", params={"startHistoryId": start, **query, **token})
        records += page.get("history", [])
        if "nextPageToken" not in page:
            return records
        token = {"pageToken": page["nextPageToken"]}


async def test_a_message_is_shown_as_a_tree_of_its_parts(gmail, control):
    mail = await control.deliver(gmail.account, **RICH)
    shown = await gmail.get(f"/messages/{mail['id']}")
    assert (["INBOX", "UNREAD"], mail["threadId"], mail["historyId"]) == (
        shown["labelIds"],
        shown["threadId"],
        shown["historyId"],
    )
    assert str is type(shown["internalDate"])
    payload = shown["payload"]
    assert ("multipart/mixed", "") == (payload["mimeType"], payload["partId"])
    alternative, pdf, image = payload["parts"]
    assert ["0.0", "0.1"] == [part["partId"] for part in alternative["parts"]]
    assert b"Hello\n" == base64.urlsafe_b64decode(alternative["parts"][0]["body"]["data"]).replace(b"\r\n", b"\n")
    assert ("a.pdf", "1", "2") == (pdf["filename"], pdf["partId"], image["partId"])
    part = await gmail.get(f"/messages/{mail['id']}/attachments/{pdf['body']['attachmentId']}")
    assert (4, b"%PDF") == (part["size"], base64.urlsafe_b64decode(part["data"]))
    sender = next(header["value"] for header in payload["headers"] if header["name"] == "From")
    assert '"Müller, Zoë" <zoe@senders.test>' == sender


async def test_formats_give_more_or_less(gmail, control):
    mail = await control.deliver(gmail.account, **RICH)
    minimal = await gmail.get(f"/messages/{mail['id']}?format=minimal")
    assert "payload" not in minimal
    query = "format=metadata&metadataHeaders=Subject&metadataHeaders=to"
    metadata = await gmail.get(f"/messages/{mail['id']}?{query}")
    assert {"Subject", "To"} == {header["name"] for header in metadata["payload"]["headers"]}
    raw = await gmail.get(f"/messages/{mail['id']}?format=raw")
    assert b"Subject: =?utf-8?" in base64.urlsafe_b64decode(raw["raw"])
    gmail.tokens = await control.issue_tokens(gmail.account, scopes="https://www.googleapis.com/auth/gmail.metadata")
    await gmail.get(f"/messages/{mail['id']}?format=full", 403)
    await gmail.get("/messages?q=is:unread", 403)
    await gmail.get(f"/messages/{mail['id']}?format=metadata")


async def test_history_tells_what_happened_in_typed_lists(gmail, control):
    start = (await gmail.get("/profile"))["historyId"]
    assert "history" not in await gmail.get("/history", params={"startHistoryId": start})
    mail = await control.deliver(gmail.account, subject="Hello")
    await control.update(gmail.account, mail["id"], isRead=True)
    await control.trash(gmail.account, mail["id"])
    await control.restore(gmail.account, mail["id"])
    await control.delete(gmail.account, mail["id"])
    records = await history(gmail, start)
    ids = [int(record["id"]) for record in records]
    assert sorted(set(ids)) == ids
    told = [
        (name, entry.get("labelIds"))
        for record in records
        for name in record
        if name not in ("id", "messages")
        for entry in record[name]
    ]
    assert [
        ("messagesAdded", None),
        ("labelsRemoved", ["UNREAD"]),
        ("labelsAdded", ["TRASH"]),
        ("labelsRemoved", ["INBOX"]),
        ("labelsAdded", ["INBOX"]),
        ("labelsRemoved", ["TRASH"]),
        ("messagesDeleted", None),
    ] == told
    added = await history(gmail, start, historyTypes=["messageAdded"])
    assert ["INBOX", "UNREAD"] == added[0]["messagesAdded"][0]["message"]["labelIds"]


async def test_history_is_paged_and_resumes_from_any_record(gmail, control):
    start = (await gmail.get("/profile"))["historyId"]
    mails = (await control.generate(gmail.account, 25))["messages"]
    records = await history(gmail, start, maxResults=7)
    assert [mail["id"] for mail in mails] == [record["messages"][0]["id"] for record in records]
    rest = await history(gmail, records[9]["id"])
    assert records[10:] == rest


async def test_history_that_is_too_old_is_not_found(gmail, control):
    start = (await gmail.get("/profile"))["historyId"]
    await control.deliver(gmail.account, subject="Hello")
    await control.expire_history(gmail.account)
    await gmail.get("/history", 404, params={"startHistoryId": start})
    present = (await gmail.get("/profile"))["historyId"]
    await gmail.get("/history", params={"startHistoryId": present})
    await control.deliver(gmail.account, subject="Hello")
    await control.advance_clock(8 * 86400)
    gmail.tokens = await control.issue_tokens(gmail.account)
    await gmail.get("/history", 404, params={"startHistoryId": present})
    await gmail.get("/history", 400)


async def test_a_watch_announces_at_once_and_then_what_touches_its_labels(gmail, control, receiver, simulator):
    await control.set_pubsub(endpoint=f"{receiver.url}/push", audience="us")
    answer = (await gmail.call("POST", "/watch", json=TOPIC)).json()
    first = (await receiver.wait_for(1))[0]
    assert {"emailAddress": gmail.account, "historyId": int(answer["historyId"])} == data_of(first.body)
    mail = await control.deliver(gmail.account, subject="Hello")
    await receiver.wait_for(2)
    assert int(mail["historyId"]) == data_of(receiver.posts[1].body)["historyId"]
    message = receiver.posts[1].body["message"]
    assert (message["messageId"], message["publishTime"]) == (message["message_id"], message["publish_time"])
    await control.deliver(gmail.account, subject="Sent", labels=["SENT"], isRead=True)
    assert await control.wait_until_pushed(50)
    assert 2 == len(receiver.posts)
    assert 204 == (await gmail.call("POST", "/stop")).status_code
    await control.deliver(gmail.account, subject="Unheard")
    assert await control.wait_until_pushed(50)
    assert 2 == len(receiver.posts)


async def test_a_push_carries_a_token_that_google_auth_accepts(gmail, control, receiver, simulator):
    await control.set_pubsub(endpoint=f"{receiver.url}/push", audience="us", serviceAccount="push@p.test")
    await gmail.call("POST", "/watch", json=TOPIC)
    scheme, token = (await receiver.wait_for(1))[0].headers["Authorization"].split()
    session = requests.Session()
    session.verify, session.trust_env = str(simulator.ca_file), False
    claims = await asyncio.to_thread(
        google.oauth2.id_token.verify_token,
        token,
        google.auth.transport.requests.Request(session),
        "us",
        simulator.settings["MAILMESH_GOOGLEWS_CERTS_URL"],
    )
    assert ("Bearer", "https://accounts.google.com", "push@p.test", True) == (
        scheme,
        claims["iss"],
        claims["email"],
        claims["email_verified"],
    )
    forged = await control.forge_push(wrongKey=True, claims={"email": "other@p.test", "exp": None})
    assert {"email": "other@p.test"}.items() <= jwt.decode(forged["token"], options={"verify_signature": False}).items()


async def test_a_push_comes_again_until_it_is_acknowledged(gmail, control, receiver):
    await control.set_pubsub(endpoint=f"{receiver.url}/push")
    await control.set(push_retry_first_seconds=0.05)
    answers = iter((400, 302, 503, 204))

    async def stumble() -> int:
        return next(answers, 204)

    receiver.answer = stumble
    await gmail.call("POST", "/watch", json=TOPIC)
    await receiver.wait_for(4)
    assert await control.wait_until_pushed()
    assert 1 == len({post.body["message"]["messageId"] for post in receiver.posts})


async def test_a_watch_ends_after_a_week_and_can_be_silent(gmail, control, receiver):
    await control.set_pubsub(endpoint=f"{receiver.url}/push")
    await gmail.call("POST", "/watch", json=TOPIC)
    await receiver.wait_for(1)
    await control.silence_watch(gmail.account)
    await control.deliver(gmail.account, subject="Unheard")
    await control.silence_watch(gmail.account, silent=False)
    await control.advance_clock(7 * 86400 + 1)
    await control.deliver(gmail.account, subject="Unheard too")
    assert await control.wait_until_pushed(50)
    assert 1 == len(receiver.posts)


async def test_a_foreign_topic_is_refused(gmail):
    assert 403 == (await gmail.call("POST", "/watch", json={"topicName": "projects/x/topics/y"})).status_code
    assert 400 == (await gmail.call("POST", "/watch", json={"topicName": "nonsense"})).status_code


async def test_lists_are_searched_and_paged(gmail, control):
    await control.load_old(gmail.account, 30, days=30)
    mail = await control.deliver(gmail.account, subject="Needle", messageId="<n@x>")
    await control.trash(gmail.account, (await control.deliver(gmail.account, subject="Trash"))["id"])
    assert [mail["id"]] == [one["id"] for one in (await gmail.get("/messages?q=rfc822msgid:n@x"))["messages"]]
    found: list[str] = []
    token = ""
    while True:
        page = await gmail.get("/messages", params={"labelIds": "INBOX", "maxResults": 10, "pageToken": token})
        found += [one["id"] for one in page["messages"]]
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert (31, 31) == (len(found), len(set(found)))
    week = await gmail.get("/messages?q=newer_than:7d -in:trash subject:needle")
    assert 1 == len(week["messages"])
    seconds = int(mail["receivedAtMs"]) // 1000 - 10 * 86400
    assert 10 == len((await gmail.get("/messages", params={"q": f"after:{seconds}"}))["messages"])


async def test_threads_join_by_reference_and_subject(gmail, control):
    first = await control.deliver(gmail.account, subject="Plan", messageId="<a@x>")
    reply = await control.deliver(gmail.account, subject="Re: Plan", inReplyTo="<a@x>", references="<a@x>")
    other = await control.deliver(gmail.account, subject="Other", inReplyTo="<a@x>", references="<a@x>")
    assert first["id"] == first["threadId"] == reply["threadId"] != other["threadId"]


async def test_quota_units_run_out_and_come_back(gmail, control):
    mail = await control.deliver(gmail.account, subject="Hello")
    await control.set(gmail_units_per_minute=100)
    statuses = [(await gmail.call("GET", f"/messages/{mail['id']}")).status_code for _ in range(6)]
    assert [200] * 5 + [429] == statuses
    refused = await gmail.get("/profile", 429)
    assert "rateLimitExceeded" == refused["error"]["errors"][0]["reason"]
    await control.advance_clock(60)
    await gmail.get("/profile")


async def test_a_batch_answers_each_part(gmail, control, simulator):
    mail = await control.deliver(gmail.account, subject="Hello")
    paths = [f"/gmail/v1/users/me/messages/{mail['id']}?format=minimal", "/gmail/v1/users/me/messages/ffff"]
    body = "".join(
        f"--b\r\nContent-Type: application/http\r\nContent-ID: <item{n}>\r\n\r\nGET {path} HTTP/1.1\r\n\r\n\r\n"
        for n, path in enumerate(paths)
    )
    headers = {"content-type": "multipart/mixed; boundary=b"}
    answer = await gmail.call("POST", f"{simulator.google}/batch/gmail/v1", content=f"{body}--b--\r\n", headers=headers)
    assert "HTTP/1.1 200 OK" in answer.text
    assert "HTTP/1.1 404 Not Found" in answer.text
    assert "<response-item0>" in answer.text


async def test_labels_drafts_and_sending_work_as_gmail_has_them(gmail, control):
    label = await control.add_folder(gmail.account, "Projects")
    mail = await control.deliver(gmail.account, subject="Hello")
    changed = await gmail.call(
        "POST", f"/messages/{mail['id']}/modify", json={"addLabelIds": [label["id"]], "removeLabelIds": ["UNREAD"]}
    )
    assert ["INBOX", label["id"]] == changed.json()["labelIds"]
    assert "Projects" in [one["name"] for one in (await gmail.get("/labels"))["labels"]]
    draft = await control.create_draft(gmail.account, subject="Draft", text="one")
    second = await control.update_draft(gmail.account, draft["id"], text="two")
    sent = await control.send_draft(gmail.account, second["id"])
    assert (3, ["SENT"]) == (len({draft["id"], second["id"], sent["id"]}), sent["labelIds"])
    written = EmailMessage()
    written["Subject"], written["To"] = "By API", "x@elsewhere.test"
    written.set_content("Hi")
    raw = base64.urlsafe_b64encode(written.as_bytes()).decode()
    assert ["SENT"] == (await gmail.call("POST", "/messages/send", json={"raw": raw})).json()["labelIds"]


async def test_a_missing_mailbox_and_a_bad_token_say_so(gmail, control):
    answer = await gmail.client.get(f"{gmail.base}/profile")
    assert (401, "UNAUTHENTICATED") == (answer.status_code, answer.json()["error"]["status"])
    await control.update_account(gmail.account, hasMailbox=False)
    assert "failedPrecondition" == (await gmail.get("/profile", 400))["error"]["errors"][0]["reason"]


@pytest.mark.parametrize("spelling", ["string", "number"])
async def test_pushes_come_in_every_spelling(gmail, control, receiver, spelling):
    await control.set_pubsub(endpoint=f"{receiver.url}/push")
    await control.set(pubsub_history_id=spelling, pubsub_base64="url")
    await gmail.call("POST", "/watch", json=TOPIC)
    data = (await receiver.wait_for(1))[0].body["message"]["data"]
    shown = json.loads(base64.urlsafe_b64decode(data))["historyId"]
    assert {"string": str, "number": int}[spelling] is type(shown)
