"""Writing and sending through Graph, as official clients do it."""

import base64
from typing import Any

import pytest

MESSAGE: dict[str, Any] = {
    "subject": "By API",
    "body": {"contentType": "HTML", "content": "<p>Hi</p>"},
    "toRecipients": [{"emailAddress": {"name": "Müller, Zoë", "address": "zoe@elsewhere.test"}}],
    "importance": "high",
    "categories": ["Red"],
    "internetMessageHeaders": [{"name": "x-mailmesh", "value": "1"}],
    "attachments": [{"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentBytes": "YWJj"}],
}


def to(*addresses: str) -> dict[str, Any]:
    return {**MESSAGE, "toRecipients": [{"emailAddress": {"address": one}} for one in addresses]}


async def only(graph: Any, folder: str) -> dict[str, Any]:
    (found,) = (await graph.get(f"/me/mailFolders/{folder}/messages?$expand=attachments"))["value"]
    return dict(found)


@pytest.mark.parametrize("names", [("message", "saveToSentItems"), ("Message", "SaveToSentItems")])
async def test_an_action_takes_its_parameters_in_any_case(graph, names):
    answer = await graph.call("POST", "/me/sendMail", json={names[0]: MESSAGE, names[1]: True})
    assert 202 == answer.status_code
    sent = await only(graph, "sentitems")
    assert ("By API", "high", ["Red"], "a.txt") == (
        sent["subject"], sent["importance"], sent["categories"], sent["attachments"][0]["name"]
    )  # fmt: skip
    assert MESSAGE["toRecipients"] == sent["toRecipients"]


async def test_a_move_takes_its_destination_in_any_case(graph, control):
    mail = await control.deliver(graph.account, subject="Hello")
    answer = await graph.call("POST", f"/me/messages/{mail['id']}/move", json={"DestinationId": "archive"})
    assert 201 == answer.status_code
    assert 400 == (await graph.call("POST", f"/me/messages/{mail['id']}/move", json={})).status_code


async def test_a_message_is_copied_with_its_flags_and_changed_below_its_folder(graph, control):
    mail = await control.deliver(graph.account, subject="Hello", categories=["Red"])
    inside = f"/me/mailFolders/inbox/messages/{mail['id']}"
    copy = await graph.call("POST", f"{inside}/copy", json={"destinationId": "archive"})
    assert (201, ["Red"], True) == (copy.status_code, copy.json()["categories"], copy.json()["id"] != mail["id"])
    assert 200 == (await graph.call("PATCH", inside, json={"isRead": True})).status_code
    assert {"inbox", "archive"} == {one["wellKnownFolder"] for one in (await control.truth(graph.account))["messages"]}
    assert 404 == (await graph.call("POST", f"{inside}/copy", json={"destinationId": "nowhere"})).status_code


async def test_a_mail_without_message_or_recipient_is_not_sent(graph):
    for body in ({}, {"message": {"subject": "x"}}, {"message": {**MESSAGE, "internetMessageHeaders": []}}):
        assert 400 == (await graph.call("POST", "/me/sendMail", json=body)).status_code
    assert [] == (await graph.get("/me/messages"))["value"]


async def test_a_sent_copy_can_be_declined(graph):
    assert (
        202
        == (await graph.call("POST", "/me/sendMail", json={"message": MESSAGE, "saveToSentItems": False})).status_code
    )
    assert [] == (await graph.get("/me/messages"))["value"]


async def test_a_mail_in_mime_is_sent_and_bad_base64_refused(graph):
    mime = base64.b64encode(b"To: x@elsewhere.test\r\nSubject: MIME\r\nMessage-ID: <own@x.test>\r\n\r\nHi\r\n")
    kind = {"content-type": "text/plain"}
    assert 202 == (await graph.call("POST", "/me/sendMail", content=mime, headers=kind)).status_code
    assert "<own@x.test>" == (await only(graph, "sentitems"))["internetMessageId"]
    refused = await graph.call("POST", "/me/sendMail", content=b"no-base64_", headers=kind)
    assert (400, "ErrorMimeContentInvalidBase64String") == (refused.status_code, refused.json()["error"]["code"])


async def test_sent_mail_arrives_at_the_accounts_of_both_providers_once(graph, gmail, control):
    other = (await control.create_account("ms365", f"other-{graph.account}"))["address"]
    bcc = {"bccRecipients": [{"emailAddress": {"address": other}}]}
    draft = (await graph.call("POST", "/me/messages", json={**to(gmail.account, gmail.account.upper()), **bcc})).json()
    assert 202 == (await graph.call("POST", f"/me/messages/{draft['id']}/send")).status_code
    (arrived,) = (await control.truth(gmail.account))["messages"]
    assert (["INBOX", "UNREAD"], draft["internetMessageId"]) == (arrived["labelIds"], arrived["internetMessageId"])
    headers = (await gmail.get(f"/messages/{arrived['id']}?format=metadata"))["payload"]["headers"]
    assert "bcc" not in {header["name"].lower() for header in headers}
    (hidden,) = (await control.truth(other))["messages"]
    assert ("inbox", False) == (hidden["wellKnownFolder"], hidden["isRead"])


async def test_attachments_are_added_to_a_draft_listed_read_and_removed(graph):
    draft = (await graph.call("POST", "/me/messages", json={**MESSAGE, "attachments": []})).json()
    base = f"/me/messages/{draft['id']}/attachments"
    body = {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": "b.bin",
        "contentBytes": "AAEC",
        "contentType": "x/y",
    }
    made = await graph.call("POST", base, json=body)
    assert (201, "b.bin") == (made.status_code, made.json()["name"])
    (listed,) = (await graph.get(f"{base}?$select=id,name,size"))["value"]
    assert "contentBytes" not in listed
    assert b"\x00\x01\x02" == (await graph.call("GET", f"{base}/{listed['id']}/$value")).content
    assert 204 == (await graph.call("DELETE", f"{base}/{listed['id']}")).status_code
    assert [] == (await graph.get(base))["value"]
    assert 501 == (await graph.call("POST", base, json={"@odata.type": "#microsoft.graph.itemAttachment"})).status_code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"isRead": "yes"}, "RequestBodyRead"),
        ({"categories": "Red"}, "RequestBodyRead"),
        ({"importance": "urgent"}, "RequestBodyRead"),
        ({"flag": {"flagStatus": "red"}}, "RequestBodyRead"),
        ({"receivedDateTime": "2026-01-01T00:00:00Z"}, "ErrorInvalidPropertySet"),
        ({"subject": "New"}, "ErrorInvalidPropertySet"),
    ],
)
async def test_a_change_of_another_type_or_of_a_fixed_property_changes_nothing(graph, control, body, code):
    mail = await control.deliver(graph.account, subject="Hello")
    answer = await graph.call("PATCH", f"/me/messages/{mail['id']}", json={"isRead": True, **body})
    assert (400, code) == (answer.status_code, answer.json()["error"]["code"])
    assert mail["etag"] == (await control.truth(graph.account))["messages"][0]["etag"]


async def test_an_extended_property_is_kept_found_and_shown(graph):
    name = "String {66f5a359-4659-4830-9070-00047ec6ac6e} Name MailmeshSendId"
    body = {**MESSAGE, "singleValueExtendedProperties": [{"id": name, "value": "s-1"}]}
    draft = (await graph.call("POST", "/me/messages", json=body)).json()
    condition = f"singleValueExtendedProperties/any(ep:ep/id eq '{name}' and ep/value eq 's-1')"
    expand = f"singleValueExtendedProperties($filter=id eq '{name}')"
    (found,) = (await graph.get("/me/messages", params={"$filter": condition, "$expand": expand}))["value"]
    assert (draft["id"], [{"id": name, "value": "s-1"}]) == (found["id"], found["singleValueExtendedProperties"])
    size = await graph.get(
        f"/me/messages/{draft['id']}?$expand=singleValueExtendedProperties($filter=id eq 'Integer 0xE08')"
    )
    assert int(size["singleValueExtendedProperties"][0]["value"]) > 100
