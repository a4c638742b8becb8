"""The fates of a mail on its way out of a Microsoft mailbox, and what its sender sees of it."""

import base64
from typing import Any

import pytest

IMMUTABLE = {"prefer": 'IdType="ImmutableId"'}
MARK = "String {66f5a359-4659-4830-9070-00047ec6ac6e} Name MailmeshSendId"
MESSAGE: dict[str, Any] = {
    "subject": "Offer",
    "body": {"contentType": "text", "content": "Hi"},
    "toRecipients": [{"emailAddress": {"address": "zoe@elsewhere.test"}}],
    "singleValueExtendedProperties": [{"id": MARK, "value": "send-1"}],
}


async def draft(graph: Any, **changes: Any) -> dict[str, Any]:
    answer = await graph.call("POST", "/me/messages", json={**MESSAGE, **changes}, headers=IMMUTABLE)
    assert 201 == answer.status_code, answer.text
    return dict(answer.json())


async def send(graph: Any, mail: dict[str, Any]) -> int:
    return int((await graph.call("POST", f"/me/messages/{mail['id']}/send")).status_code)


async def marked(graph: Any) -> list[dict[str, Any]]:
    """The messages in all folders that carry our mark."""
    condition = f"singleValueExtendedProperties/Any(ep: ep/id eq '{MARK}' and ep/value eq 'send-1')"
    found = await graph.get("/me/messages", params={"$filter": condition}, headers=IMMUTABLE)
    return list(found["value"])


async def test_a_sent_draft_waits_in_drafts_until_transport_takes_it(graph, control):
    await control.set(graph_sent_copy_seconds=600)
    mail = await draft(graph)
    assert 202 == await send(graph, mail)
    (found,) = await marked(graph)
    assert (True, 404) == (found["isDraft"], await send(graph, mail))
    await control.advance_clock(601)
    (found,) = await marked(graph)
    sent = await graph.get("/me/mailFolders/sentitems")
    assert (mail["id"], False, sent["id"]) == (found["id"], found["isDraft"], found["parentFolderId"])


async def test_a_mail_without_a_draft_waits_in_drafts_too(graph, control):
    await control.set(graph_sent_copy_seconds=600)
    assert 202 == (await graph.call("POST", "/me/sendMail", json={"message": MESSAGE})).status_code
    assert [True] == [one["isDraft"] for one in await marked(graph)]
    await control.advance_clock(601)
    assert [False] == [one["isDraft"] for one in await marked(graph)]


async def test_a_drafts_immutable_id_can_die_at_the_send_while_its_mark_lives_on(graph, control):
    await control.set(graph_sent_ids="changed")
    mail = await draft(graph, categories=["Red"])
    assert 202 == await send(graph, mail)
    await graph.get(f"/me/messages/{mail['id']}", 404)
    (found,) = await marked(graph)
    assert (False, ["Red"], True) == (found["isDraft"], found["categories"], found["id"] != mail["id"])


@pytest.mark.parametrize("fate", ["kept", "rewritten"])
async def test_a_message_id_of_ones_own_is_kept_or_rewritten_by_transport(graph, control, fate):
    await control.set(graph_message_ids=fate)
    mail = await draft(graph, internetMessageId="<mine@mailmesh.test>")
    assert "<mine@mailmesh.test>" == mail["internetMessageId"]
    assert 202 == await send(graph, mail)
    (found,) = await marked(graph)
    assert (fate == "kept") == (found["internetMessageId"] == "<mine@mailmesh.test>")


async def test_a_lost_answer_is_no_lost_mail(graph, control):
    mail = await draft(graph)
    await control.add_fault("status", endpoint="graph.messages.send", status=504, phase="after", count=1)
    assert 504 == await send(graph, mail)
    assert [False] == [one["isDraft"] for one in await marked(graph)]


async def test_an_answer_can_say_more_or_less_than_is_true(graph, control):
    await control.add_fault("status", endpoint="graph.send_mail", status=200, count=1)
    assert 200 == (await graph.call("POST", "/me/sendMail", json={"message": MESSAGE})).status_code
    assert [] == await marked(graph)
    await control.add_fault("status", endpoint="graph.send_mail", status=202, retry_after=5, phase="after", count=1)
    answer = await graph.call("POST", "/me/sendMail", json={"message": MESSAGE})
    assert (202, "5", 1) == (answer.status_code, answer.headers["retry-after"], len(await marked(graph)))


async def test_a_mailbox_sends_so_many_a_minute(graph, control):
    await control.set(graph_sends_per_minute=2)
    statuses = [(await graph.call("POST", "/me/sendMail", json={"message": MESSAGE})).status_code for _ in range(3)]
    assert [202, 202, 429] == statuses
    await control.advance_clock(61)
    assert 202 == (await graph.call("POST", "/me/sendMail", json={"message": MESSAGE})).status_code


async def test_only_a_delegate_sends_as_another_mailbox(graph, control):
    desk = (await control.create_account("ms365", f"desk-{graph.account}"))["address"]
    message = {**MESSAGE, "from": {"emailAddress": {"address": desk}}}
    refused = await graph.call("POST", "/me/sendMail", json={"message": message})
    assert (403, "ErrorSendAsDenied") == (refused.status_code, refused.json()["error"]["code"])
    await control.update_account(desk, delegates=[graph.account])
    assert 202 == (await graph.call("POST", "/me/sendMail", json={"message": message})).status_code
    (found,) = await marked(graph)
    assert (desk, graph.account) == tuple(found[name]["emailAddress"]["address"] for name in ("from", "sender"))


async def test_a_mail_in_mime_gets_the_mailboxs_from_and_takes_changes(graph):
    mime = b"From: Boss <boss@elsewhere.test>\r\nTo: zoe@elsewhere.test\r\nSubject: Raw\r\nX-Own: 1\r\n\r\nHi\r\n"
    headers = {"content-type": "text/plain"}
    made = await graph.call("POST", "/me/messages", content=base64.b64encode(mime), headers=headers)
    mail = made.json()
    assert graph.account == mail["from"]["emailAddress"]["address"]
    assert mail["internetMessageId"]
    file = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentBytes": "YWJj"}
    assert 201 == (await graph.call("POST", f"/me/messages/{mail['id']}/attachments", json=file)).status_code
    assert 200 == (await graph.call("PATCH", f"/me/messages/{mail['id']}", json={"subject": "New"})).status_code
    query = "$select=subject,body,internetMessageHeaders&$expand=attachments"
    found = await graph.get(f"/me/messages/{mail['id']}?{query}")
    assert ("New", "Hi", "a.txt") == (
        found["subject"],
        found["body"]["content"].strip(),
        found["attachments"][0]["name"],
    )
    assert {"name": "X-Own", "value": "1"} in found["internetMessageHeaders"]


async def test_a_body_above_four_megabytes_is_refused(graph):
    mime = base64.b64encode(b"To: x@elsewhere.test\r\n\r\n" + b"A" * 3_200_000)
    answer = await graph.call("POST", "/me/sendMail", content=mime, headers={"content-type": "text/plain"})
    assert 413 == answer.status_code


async def test_a_mail_above_the_mailboxs_size_is_not_sent(graph, control):
    await control.set(graph_message_bytes_max=1000)
    mail = await draft(graph, body={"contentType": "text", "content": "A" * 2000})
    assert 413 == await send(graph, mail)
    assert [True] == [one["isDraft"] for one in await marked(graph)]


# Upload sessions


async def begin(graph: Any, mail: dict[str, Any], size: int, **changes: Any) -> Any:
    item = {"attachmentType": "file", "name": "big.bin", "size": size, "contentType": "application/x-big", **changes}
    path = f"/me/messages/{mail['id']}/attachments/createUploadSession"
    return await graph.call("POST", path, json={"AttachmentItem": item})


async def put(graph: Any, url: str, content: bytes, first: int, total: int, **headers: str) -> Any:
    span = f"bytes {first}-{first + len(content) - 1}/{total}"
    return await graph.client.put(url, content=content, headers={"content-range": span, **headers})


async def test_a_large_file_is_uploaded_in_pieces_in_order(graph):
    mail, content = await draft(graph), bytes(range(256)) * 20_000
    session = (await begin(graph, mail, len(content))).json()
    url, half = session["uploadUrl"], 3_000_000
    assert (["0-"], False) == (session["nextExpectedRanges"], url.startswith(graph.base))
    token = {"authorization": f"Bearer {graph.tokens['access_token']}"}
    assert 401 == (await put(graph, url, content[:half], 0, len(content), **token)).status_code
    assert 416 == (await put(graph, url, content[half:], half, len(content))).status_code
    answer = await put(graph, url, content[:half], 0, len(content))
    assert (200, [str(half)]) == (answer.status_code, answer.json()["nextExpectedRanges"])
    done = await put(graph, url, content[half:], half, len(content))
    assert (201, b"") == (done.status_code, done.content)
    (file,) = (await graph.get(f"/me/messages/{mail['id']}/attachments?$select=id,name,contentType,size"))["value"]
    assert ("big.bin", "application/x-big") == (file["name"], file["contentType"])
    assert file["id"].rpartition("-")[2] in done.headers["location"]
    raw = await graph.call("GET", f"/me/messages/{mail['id']}/attachments/{file['id']}/$value")
    assert content == raw.content


@pytest.mark.parametrize(
    ("size", "status", "code"),
    [
        (3_000_000, 400, "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize"),
        (200_000_000, 413, "ErrorMessageSizeExceeded"),
    ],
)
async def test_a_file_too_small_or_too_large_gets_no_session(graph, size, status, code):
    answer = await begin(graph, await draft(graph), size)
    assert (status, code) == (answer.status_code, answer.json()["error"]["code"])


async def test_an_upload_session_ends_by_the_clock_or_when_it_is_cancelled(graph, control):
    mail, piece = await draft(graph), b"A" * 1000
    first, second = [(await begin(graph, mail, 4_000_000)).json()["uploadUrl"] for _ in range(2)]
    assert 204 == (await graph.client.delete(first)).status_code
    assert 404 == (await put(graph, first, piece, 0, 4_000_000)).status_code
    assert 200 == (await graph.client.get(second)).status_code
    await control.advance_clock(3601)
    assert 404 == (await put(graph, second, piece, 0, 4_000_000)).status_code
