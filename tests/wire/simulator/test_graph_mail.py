"""Graph's messages, folders, delta queries and batches."""

import asyncio
import base64
import time
from typing import Any

import pytest

IMMUTABLE = {"prefer": 'IdType="ImmutableId"'}
RICH = {
    "from": '"Müller, Zoë" <zoe@senders.test>',
    "to": ["a@x.test", "B <b@x.test>"],
    "cc": "c@x.test",
    "subject": "Übersicht",
    "text": "Hello\n",
    "html": "<p>Hello <b>you</b></p>",
    "headers": {"X-Priority": "1", "List-Id": "<l.x.test>"},
    "attachments": [
        {"name": "a.pdf", "contentType": "application/pdf", "base64": base64.b64encode(b"%PDF").decode()},
        {"name": "i.png", "contentType": "image/png", "base64": "aGk=", "contentId": "img@x", "isInline": True},
    ],
}


async def everything(graph: Any, url: str, headers: dict[str, str] | None = None) -> tuple[list[dict[str, Any]], str]:
    """All items of a paged answer, and its delta link."""
    items: list[dict[str, Any]] = []
    while True:
        page = await graph.get(url, headers=headers or {})
        items += page["value"]
        if "@odata.nextLink" not in page:
            return items, page.get("@odata.deltaLink", "")
        url = page["@odata.nextLink"]


async def test_a_message_has_the_fields_that_its_bytes_say(graph, control):
    mail = await control.deliver(graph.account, **RICH)
    shown = await graph.get(f"/me/messages/{mail['id']}", headers=IMMUTABLE)
    assert ("Übersicht", "html", "high", True) == (
        shown["subject"],
        shown["body"]["contentType"],
        shown["importance"],
        shown["hasAttachments"],
    )
    assert {"name": "Müller, Zoë", "address": "zoe@senders.test"} == shown["from"]["emailAddress"]
    assert ["a@x.test", "b@x.test"] == [one["emailAddress"]["address"] for one in shown["toRecipients"]]
    assert "Hello you" == shown["bodyPreview"]
    assert "internetMessageHeaders" not in shown
    assert mail["etag"] == shown["@odata.etag"]


async def test_a_meeting_request_has_its_type_and_the_id_of_its_event(graph, control):
    from msgraph.generated.models.event_message_request import EventMessageRequest

    meeting = "Binary {6ED8DA90-450B-101B-98DA-00AA003F1305} Id 0x23"
    lines = ["BEGIN:VCALENDAR", "METHOD:REQUEST", "BEGIN:VEVENT", "UID:a@x.test", "END:VEVENT", "END:VCALENDAR", ""]
    invite = base64.b64encode("\r\n".join(lines).encode()).decode()
    mail = await control.deliver(
        graph.account, attachments=[{"name": "invite.ics", "contentType": "text/calendar", "base64": invite}]
    )
    expand = f"singleValueExtendedProperties($filter=id eq 'Integer 0xE08' or id eq '{meeting}')"
    shown = await graph.get(f"/me/messages/{mail['id']}?$select=subject&$expand={expand}", headers=IMMUTABLE)
    plain = await control.deliver(graph.account, **RICH)
    other = await graph.get(f"/me/messages/{plain['id']}?$select=subject&$expand={expand}", headers=IMMUTABLE)

    assert EventMessageRequest().odata_type == shown["@odata.type"]
    assert "@odata.type" not in other
    found = {one["id"]: one["value"] for one in shown["singleValueExtendedProperties"]}
    assert {"Integer 0xE08", meeting} == found.keys()
    assert base64.b64decode(found[meeting]).endswith(b"vCal-Uid\x01\0\0\0a@x.test\0")
    assert ["Integer 0xE08"] == [one["id"] for one in other["singleValueExtendedProperties"]]


async def test_select_expand_and_preferences_shape_the_answer(graph, control):
    mail = await control.deliver(graph.account, **RICH)
    query = "$select=subject,body,internetMessageHeaders&$expand=attachments($select=id,name,isInline,size)"
    prefer = {"prefer": 'outlook.body-content-type="text", IdType="ImmutableId"'}
    answer = await graph.call("GET", f"/me/messages/{mail['id']}?{query}", headers=prefer)
    shown = answer.json()
    assert {"@odata.context", "@odata.etag", "id", "subject", "body", "internetMessageHeaders", "attachments"} == set(
        shown
    )
    assert "text" == shown["body"]["contentType"]
    assert [("a.pdf", False), ("i.png", True)] == [(one["name"], one["isInline"]) for one in shown["attachments"]]
    assert "contentBytes" not in shown["attachments"][0]
    assert "outlook.body-content-type" in answer.headers["preference-applied"]
    assert "List-Id" in [header["name"] for header in shown["internetMessageHeaders"]]


async def test_the_mime_and_each_attachment_can_be_had(graph, control):
    mail = await control.deliver(graph.account, **RICH)
    mime = await graph.call("GET", f"/me/messages/{mail['id']}/$value")
    assert (True, "text/plain") == (b"Subject: =?utf-8?" in mime.content, mime.headers["content-type"])
    found = (await graph.get(f"/me/messages/{mail['id']}/attachments"))["value"]
    one = await graph.get(f"/me/messages/{mail['id']}/attachments/{found[0]['id']}")
    assert b"%PDF" == base64.b64decode(one["contentBytes"])


async def test_only_inline_attachments_do_not_count_as_attachments(graph, control):
    mail = await control.deliver(graph.account, **{**RICH, "attachments": RICH["attachments"][1:]})
    assert False is (await graph.get(f"/me/messages/{mail['id']}"))["hasAttachments"]


async def test_a_default_id_is_gone_after_a_move_and_an_immutable_one_is_not(graph, control):
    mail = await control.deliver(graph.account, subject="Hello")
    moved = await graph.call("POST", f"/me/messages/{mail['defaultId']}/move", json={"destinationId": "archive"})
    assert (201, True) == (moved.status_code, moved.json()["id"] != mail["defaultId"])
    await graph.get(f"/me/messages/{mail['defaultId']}", 404)
    archive = await graph.get("/me/mailFolders/archive")
    assert archive["id"] == (await graph.get(f"/me/messages/{mail['id']}"))["parentFolderId"]
    await graph.get(f"/me/messages/{mail['id'].swapcase()}", 404)


async def test_patch_delete_and_restore_do_what_graph_says(graph, control):
    mail = await control.deliver(graph.account, subject="Hello")
    body = {"isRead": True, "categories": ["A"], "flag": {"flagStatus": "flagged"}}
    patched = (await graph.call("PATCH", f"/me/messages/{mail['id']}", json=body)).json()
    assert (True, ["A"], "flagged") == (patched["isRead"], patched["categories"], patched["flag"]["flagStatus"])
    assert patched["@odata.etag"] != mail["etag"]
    assert 204 == (await graph.call("DELETE", f"/me/messages/{mail['id']}")).status_code
    assert "deleteditems" == (await control.truth(graph.account))["messages"][0]["wellKnownFolder"]
    await control.restore(graph.account, mail["id"])
    assert "inbox" == (await control.truth(graph.account))["messages"][0]["wellKnownFolder"]
    for _ in range(2):
        await graph.call("DELETE", f"/me/messages/{mail['id']}")
    truth = await control.truth(graph.account)
    assert ([], [mail["id"]]) == (truth["messages"], [one["id"] for one in truth["deleted"]])


async def test_drafts_are_made_changed_and_sent_under_one_immutable_id(graph, control):
    body = {
        "subject": "One",
        "body": {"contentType": "text", "content": "Hi"},
        "toRecipients": [{"emailAddress": {"address": "x@y.test"}}],
    }
    made = (await graph.call("POST", "/me/messages", json=body, headers=IMMUTABLE)).json()
    assert made["isDraft"]
    changed = await graph.call("PATCH", f"/me/messages/{made['id']}", json={"subject": "Two"}, headers=IMMUTABLE)
    assert "Two" == changed.json()["subject"]
    assert 202 == (await graph.call("POST", f"/me/messages/{made['id']}/send")).status_code
    sent = await graph.get(f"/me/messages/{made['id']}", headers=IMMUTABLE)
    assert (False, (await graph.get("/me/mailFolders/sentitems"))["id"]) == (sent["isDraft"], sent["parentFolderId"])


async def test_lists_are_filtered_by_time_ordered_and_paged(graph, control):
    await control.load_old(graph.account, 45, days=45)
    newest, _ = await everything(graph, "/me/mailFolders/inbox/messages?$top=10&$select=receivedDateTime")
    times = [one["receivedDateTime"] for one in newest]
    assert (45, sorted(times, reverse=True)) == (len(times), times)
    bound = times[20]
    query = f"$filter=receivedDateTime ge {bound}&$orderby=receivedDateTime asc&$top=7&$select=receivedDateTime"
    recent, _ = await everything(graph, f"/me/messages?{query}")
    assert sorted(times[:21]) == [one["receivedDateTime"] for one in recent]
    await graph.get("/me/messages?$filter=isRead eq true&$orderby=receivedDateTime desc", 400)


async def test_folders_are_paged_and_have_children(graph, control):
    for number in range(4):
        await control.add_folder(graph.account, f"Project {number}", parent="inbox")
    folders, _ = await everything(graph, "/me/mailFolders?$top=3")
    assert 8 == len(folders)
    inbox = next(folder for folder in folders if folder["displayName"] == "Inbox")
    assert 4 == inbox["childFolderCount"]
    children, _ = await everything(graph, f"/me/mailFolders/{inbox['id']}/childFolders?$top=3")
    assert [f"Project {number}" for number in range(4)] == [folder["displayName"] for folder in children]


async def test_a_first_delta_round_lists_the_folder_and_later_ones_tell_changes(graph, control):
    await control.load_old(graph.account, 25)
    prefer = {"prefer": 'odata.maxpagesize=10, IdType="ImmutableId"'}
    first, link = await everything(graph, "/me/mailFolders('inbox')/messages/delta?$select=subject,isRead", prefer)
    assert 25 == len({one["id"] for one in first})
    kept, read, moved, gone = (await control.generate(graph.account, 4))["messages"]
    await control.update(graph.account, read["id"], isRead=True)
    await control.move(graph.account, moved["id"], "archive")
    await control.delete(graph.account, gone["id"])
    changes, link = await everything(graph, link, prefer)
    assert {kept["id"]: False, read["id"]: True} == {
        one["id"]: one["isRead"] for one in changes if "@removed" not in one
    }
    assert {moved["id"], gone["id"]} == {one["id"] for one in changes if "@removed" in one}
    assert [] == (await everything(graph, link, prefer))[0]


async def test_mail_that_arrives_during_a_first_round_is_in_the_next(graph, control):
    await control.load_old(graph.account, 25)
    page = await graph.get("/me/mailFolders/inbox/messages/delta?$top=10", headers=IMMUTABLE)
    late = await control.deliver(graph.account, subject="Late")
    _, link = await everything(graph, page["@odata.nextLink"], IMMUTABLE)
    changes, _ = await everything(graph, link, IMMUTABLE)
    assert [late["id"]] == [one["id"] for one in changes]


@pytest.mark.parametrize(("status", "code"), [(410, "syncStateNotFound"), (400, "resyncRequired")])
async def test_an_expired_delta_token_starts_over(graph, control, status, code):
    _, link = await everything(graph, "/me/mailFolders/inbox/messages/delta")
    await control.expire_history(graph.account, status=status, code=code)
    assert code == (await graph.get(link, status))["error"]["code"]
    await everything(graph, "/me/mailFolders/inbox/messages/delta")


async def test_a_batch_answers_each_request_by_itself(graph, control):
    mails = (await control.generate(graph.account, 3))["messages"]
    requests: list[dict[str, Any]] = [
        {
            "id": str(n),
            "method": "GET",
            "url": f"/me/messages/{mail['id']}?$select=subject",
            "headers": {"Prefer": IMMUTABLE["prefer"]},
        }
        for n, mail in enumerate(mails)
    ]
    requests.append({"id": "x", "method": "GET", "url": "/me/messages/nothing"})
    requests.append({"id": "y", "method": "GET", "url": "/me", "dependsOn": ["x"]})
    answer = (await graph.call("POST", "/$batch", json={"requests": requests})).json()["responses"]
    by_id = {one["id"]: one for one in answer}
    assert {"0": 200, "1": 200, "2": 200, "x": 404, "y": 424} == {key: one["status"] for key, one in by_id.items()}
    assert mails[0]["id"] == by_id["0"]["body"]["id"]
    assert 3 == await control.call_count("graph.messages.get", graph.account, 200)
    too_many = [{"id": str(n), "method": "GET", "url": "/me"} for n in range(21)]
    assert 400 == (await graph.call("POST", "/$batch", json={"requests": too_many})).status_code


async def test_a_fifth_request_at_once_is_throttled_also_inside_batches(graph, control):
    mail = await control.deliver(graph.account, subject="Hello")
    await control.set(latency_seconds=2)  # long enough for six handshakes
    answers = await asyncio.gather(*(graph.call("GET", f"/me/messages/{mail['id']}") for _ in range(6)))
    assert [200] * 4 + [429] * 2 == sorted(answer.status_code for answer in answers)
    throttled = next(answer for answer in answers if answer.status_code == 429)
    assert ("ApplicationThrottled", "1") == (throttled.json()["error"]["code"], throttled.headers["retry-after"])
    await control.set(latency_seconds=1.0)
    requests = [{"id": str(n), "method": "GET", "url": f"/me/messages/{mail['id']}"} for n in range(6)]
    batch, *others = await asyncio.gather(
        graph.call("POST", "/$batch", json={"requests": requests}),
        *(graph.call("GET", f"/me/messages/{mail['id']}") for _ in range(3)),
    )
    statuses = [one["status"] for one in batch.json()["responses"]] + [answer.status_code for answer in others]
    assert 429 in statuses
    await control.set(graph_concurrency=0, latency_seconds=0.2)
    free = await asyncio.gather(*(graph.call("GET", f"/me/messages/{mail['id']}") for _ in range(6)))
    assert {200} == {answer.status_code for answer in free}


async def test_tokens_scopes_and_mailboxes_are_checked(graph, control):
    answer = await graph.client.get(f"{graph.base}/me/messages")
    assert (401, "InvalidAuthenticationToken") == (answer.status_code, answer.json()["error"]["code"])
    graph.tokens = await control.issue_tokens(graph.account, scopes="User.Read")
    assert "ErrorAccessDenied" == (await graph.get("/me/messages", 403))["error"]["code"]
    graph.tokens = await control.issue_tokens(graph.account)
    await graph.get("/users/anna@contoso.test/messages", 403)
    await control.update_account(graph.account, hasMailbox=False)
    assert "MailboxNotEnabledForRESTAPI" == (await graph.get("/me/messages", 404))["error"]["code"]


async def test_a_hundred_thousand_old_mails_are_loaded_and_listed_quickly(graph, control):
    began = time.monotonic()
    await control.load_old(graph.account, 100_000)
    page = await graph.get("/me/messages?$top=100&$select=subject,receivedDateTime")
    await graph.get(page["@odata.nextLink"])
    first = await graph.get(
        "/me/mailFolders/inbox/messages/delta?$select=id", headers={"prefer": "odata.maxpagesize=1000"}
    )
    assert 1000 == len(first["value"])
    assert time.monotonic() - began < 10
