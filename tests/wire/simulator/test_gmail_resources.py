"""Gmail's drafts, labels, threads and uploads."""

import base64
import json
from typing import Any

import pytest


def mime(to: str, subject: str = "Hello", body: str = "Hi", **headers: str) -> bytes:
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"To: {to}\r\nSubject: {subject}\r\n{more}\r\n{body}\r\n".encode()


def raw(content: bytes) -> dict[str, str]:
    return {"raw": base64.urlsafe_b64encode(content).decode().rstrip("=")}


async def send(gmail: Any, content: bytes, **more: str) -> dict[str, Any]:
    answer = await gmail.call("POST", "/messages/send", json={**raw(content), **more})
    assert 200 == answer.status_code, answer.text
    return dict(answer.json())


async def test_a_draft_keeps_its_id_while_its_message_changes_and_is_consumed_by_the_send(gmail):
    made = (await gmail.call("POST", "/drafts", json={"message": raw(mime("x@elsewhere.test"))})).json()
    changed = await gmail.call("PUT", f"/drafts/{made['id']}", json={"message": raw(mime("x@elsewhere.test", "Two"))})
    assert (made["id"], True) == (changed.json()["id"], changed.json()["message"]["id"] != made["message"]["id"])
    assert [made["id"]] == [one["id"] for one in (await gmail.get("/drafts"))["drafts"]]
    assert ["DRAFT"] == (await gmail.get(f"/drafts/{made['id']}"))["message"]["labelIds"]
    sent = await gmail.call("POST", "/drafts/send", json={"id": made["id"]})
    assert ["SENT"] == sent.json()["labelIds"]
    await gmail.get(f"/drafts/{made['id']}", 404)
    assert 404 == (await gmail.call("POST", "/drafts/send", json={"id": made["id"]})).status_code
    assert "drafts" not in await gmail.get("/drafts")


async def test_a_sent_mail_joins_its_thread_only_with_references_and_subject(gmail, control):
    first = await control.deliver(gmail.account, subject="Hello", messageId="<1@x.test>")
    reply = mime("x@elsewhere.test", "Re: Hello", In_Reply_To="<1@x.test>", References="<1@x.test>")
    assert first["threadId"] == (await send(gmail, reply, threadId=first["threadId"]))["threadId"]
    for other in (mime("x@elsewhere.test", "Re: Hello"), reply.replace(b"Hello", b"Other")):
        assert first["threadId"] != (await send(gmail, other, threadId=first["threadId"]))["threadId"]
    body = {**raw(reply), "threadId": "19ffffffffffffff"}
    assert 404 == (await gmail.call("POST", "/messages/send", json=body)).status_code


async def test_a_mail_needs_a_recipient_and_content(gmail):
    for body in ({}, {"raw": "***"}, raw(b"Subject: x\r\n\r\nHi")):
        assert 400 == (await gmail.call("POST", "/messages/send", json=body)).status_code


async def test_sent_mail_arrives_at_others_and_one_to_oneself_has_both_labels(gmail, graph, control):
    sent = await send(gmail, mime(f"{graph.account}, {gmail.account}"))
    assert ["INBOX", "SENT", "UNREAD"] == sent["labelIds"]
    assert ["Hello"] == [one["subject"] for one in (await control.truth(graph.account))["messages"]]
    assert 1 == len((await control.truth(gmail.account))["messages"])


async def test_labels_are_made_renamed_and_deleted(gmail, control):
    made = (await gmail.call("POST", "/labels", json={"name": "Work", "labelListVisibility": "labelHide"})).json()
    assert ("Work", "user", "labelHide") == (made["name"], made["type"], made["labelListVisibility"])
    assert 409 == (await gmail.call("POST", "/labels", json={"name": "work"})).status_code
    assert 400 == (await gmail.call("POST", "/labels", json={"name": "Inbox"})).status_code
    mail = await control.deliver(gmail.account, subject="Hello", labels=["INBOX", made["id"]])
    renamed = (await gmail.call("PATCH", f"/labels/{made['id']}", json={"name": "Home"})).json()
    assert (made["id"], "Home", "labelHide") == (renamed["id"], renamed["name"], renamed["labelListVisibility"])
    assert 1 == (await gmail.get(f"/labels/{made['id']}"))["messagesTotal"]
    assert 204 == (await gmail.call("DELETE", f"/labels/{made['id']}")).status_code
    assert made["id"] not in (await gmail.get(f"/messages/{mail['id']}"))["labelIds"]
    await gmail.get(f"/labels/{made['id']}", 404)
    await gmail.get("/messages", 400, params={"labelIds": made["id"]})
    assert made["id"] != (await gmail.call("POST", "/labels", json={"name": "Third"})).json()["id"]


@pytest.mark.parametrize(
    ("name", "status"), [("my work", 409), ("My-Work", 409), ("MY/WORK", 409), ("Travel", 400), ("My work 2", 200)]
)
async def test_a_label_that_reads_like_another_is_a_conflict(gmail, name, status):
    await gmail.call("POST", "/labels", json={"name": "My/Work"})
    assert status == (await gmail.call("POST", "/labels", json={"name": name})).status_code


async def test_a_thread_is_read_and_changed_as_a_whole(gmail, control):
    first = await control.deliver(gmail.account, subject="Hello", messageId="<1@x.test>")
    second = await control.deliver(gmail.account, subject="Re: Hello", inReplyTo="<1@x.test>")
    await control.deliver(gmail.account, subject="Other")
    page = await gmail.get("/threads?maxResults=1")
    rest = await gmail.get("/threads", params={"maxResults": 1, "pageToken": page["nextPageToken"]})
    assert ([first["threadId"]], 2) == ([one["id"] for one in rest["threads"]], page["resultSizeEstimate"])
    whole = await gmail.get(f"/threads/{first['threadId']}?format=minimal")
    assert [first["id"], second["id"]] == [one["id"] for one in whole["messages"]]
    changed = await gmail.call("POST", f"/threads/{first['threadId']}/modify", json={"removeLabelIds": ["UNREAD"]})
    assert [["INBOX"], ["INBOX"]] == [one["labelIds"] for one in changed.json()["messages"]]
    assert 200 == (await gmail.call("POST", f"/threads/{first['threadId']}/trash")).status_code
    assert 1 == len((await gmail.get("/threads"))["threads"])
    await gmail.get("/threads/19ffffffffffffff", 404)


@pytest.mark.parametrize("kind", ["media", "multipart"])
async def test_a_mail_is_uploaded_in_one_request(gmail, simulator, kind):
    url = f"{simulator.google}/upload/gmail/v1/users/me/messages/send?uploadType={kind}"
    content, headers = mime("x@elsewhere.test"), {"content-type": "message/rfc822"}
    if kind == "multipart":
        parts = (b"Content-Type: application/json\r\n\r\n{}", b"Content-Type: message/rfc822\r\n\r\n" + content)
        content = b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--"
        headers = {"content-type": "multipart/related; boundary=b"}
    sent = (await gmail.call("POST", url, content=content, headers=headers)).json()
    stored = (await gmail.get(f"/messages/{sent['id']}?format=raw"))["raw"]
    assert base64.urlsafe_b64decode(stored).endswith(mime("x@elsewhere.test"))


async def test_a_mail_is_uploaded_in_pieces(gmail, simulator):
    url = f"{simulator.google}/resumable/upload/gmail/v1/users/me/messages/send?uploadType=resumable"
    begun = await gmail.call("POST", url, content=json.dumps({}), headers={"content-type": "application/json"})
    where, content, step = begun.headers["location"], mime("x@elsewhere.test", body="A" * 400_000), 262_144

    async def put(first: int, last: int) -> Any:
        headers = {"content-range": f"bytes {first}-{last}/{len(content)}"}
        return await gmail.call("PUT", where, content=content[first : last + 1], headers=headers)

    assert 400 == (await put(0, 99)).status_code
    piece = await put(0, step - 1)
    assert (308, f"bytes=0-{step - 1}") == (piece.status_code, piece.headers["range"])
    asked = await gmail.call("PUT", where, headers={"content-range": f"bytes */{len(content)}"})
    assert (308, f"bytes=0-{step - 1}") == (asked.status_code, asked.headers["range"])
    sent = await put(step, len(content) - 1)
    assert (200, ["SENT"]) == (sent.status_code, sent.json()["labelIds"])
    assert 404 == (await put(step, len(content) - 1)).status_code
