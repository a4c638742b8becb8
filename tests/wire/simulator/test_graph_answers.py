"""Replies and forwards at Graph, and changes of folders, as Microsoft's SDK asks for them."""

import io
from typing import Any

import pytest

from tests.wire.simulator.sdk import body_of, graph_client, people

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
async def client(graph, simulator) -> Any:
    async with graph_client(graph, simulator) as made:
        yield made


@pytest.fixture
async def original(graph, control) -> dict[str, Any]:
    """A mail to two people and a copy to a third, which wants its answers elsewhere and refers to another."""
    return dict(
        await control.deliver(
            graph.account,
            **{"from": "Zoe <zoe@elsewhere.test>", "to": f"{graph.account}, Bob <bob@elsewhere.test>"},
            cc="carl@elsewhere.test",
            replyTo="desk@elsewhere.test",
            subject="Plans",
            text="Shall we?",
            messageId="<two@elsewhere.test>",
            references="<one@elsewhere.test>",
            attachments=[{"name": "plan.txt", "contentType": "text/plain", "base64": "YWJj"}],
        )
    )


def addresses(recipients: Any) -> list[str]:
    return [one.email_address.address for one in recipients]


async def mime(graph: Any, mail_id: str) -> str:
    return str((await graph.call("GET", f"/me/messages/{mail_id}/$value")).text)


async def test_a_reply_is_prepared_changed_and_sent_in_its_conversation(client, graph, control, original):
    from msgraph.generated.models.message import Message
    from msgraph.generated.users.item.messages.item.create_reply.create_reply_post_request_body import (
        CreateReplyPostRequestBody,
    )

    one = client.me.messages.by_message_id(original["id"])
    draft = await one.create_reply.post(CreateReplyPostRequestBody(comment="Yes & no"))
    assert (True, "RE: Plans", ["desk@elsewhere.test"], []) == (
        draft.is_draft, draft.subject, addresses(draft.to_recipients), draft.cc_recipients
    )  # fmt: skip
    assert "Yes &amp; no" in draft.body.content
    assert "Shall we?" in draft.body.content
    assert (await one.get()).conversation_id == draft.conversation_id
    await client.me.messages.by_message_id(draft.id).patch(Message(body=body_of("<p>Only this</p>")))
    await client.me.messages.by_message_id(draft.id).send.post()
    (sent,) = (await client.me.mail_folders.by_mail_folder_id("sentitems").messages.get()).value
    assert "Shall we?" not in sent.body.content
    text = await mime(graph, sent.id)
    assert "In-Reply-To: <two@elsewhere.test>" in text
    assert "References: <one@elsewhere.test> <two@elsewhere.test>" in text


async def test_a_reply_to_all_leaves_oneself_out(client, graph, original):
    from msgraph.generated.users.item.messages.item.create_reply_all.create_reply_all_post_request_body import (
        CreateReplyAllPostRequestBody,
    )
    from msgraph.generated.users.item.messages.item.reply_all.reply_all_post_request_body import ReplyAllPostRequestBody

    one = client.me.messages.by_message_id(original["id"])
    draft = await one.create_reply_all.post(CreateReplyAllPostRequestBody())
    assert ["desk@elsewhere.test", "bob@elsewhere.test"] == addresses(draft.to_recipients)
    assert ["carl@elsewhere.test"] == addresses(draft.cc_recipients)
    await one.reply_all.post(ReplyAllPostRequestBody(comment="Yes"))
    (sent,) = (await client.me.mail_folders.by_mail_folder_id("sentitems").messages.get()).value
    assert addresses(draft.to_recipients) == addresses(sent.to_recipients)


@pytest.mark.parametrize("has_files", [True, False])
async def test_a_forward_may_have_the_files_already(client, graph, control, original, has_files):
    from msgraph.generated.users.item.messages.item.create_forward.create_forward_post_request_body import (
        CreateForwardPostRequestBody,
    )

    await control.set(graph_forward_attachments=has_files)
    one = client.me.messages.by_message_id(original["id"])
    draft = await one.create_forward.post(
        CreateForwardPostRequestBody(to_recipients=people("eve@elsewhere.test"), comment="See")
    )
    files = await client.me.messages.by_message_id(draft.id).attachments.get()
    assert (["eve@elsewhere.test"], "FW: Plans") == (addresses(draft.to_recipients), draft.subject)
    assert ["plan.txt"] * has_files == [file.name for file in files.value]


async def test_a_forward_without_recipients_and_a_comment_beside_a_body_are_refused(client, graph, original):
    from msgraph.generated.models.message import Message
    from msgraph.generated.models.o_data_errors.o_data_error import ODataError
    from msgraph.generated.users.item.messages.item.forward.forward_post_request_body import ForwardPostRequestBody
    from msgraph.generated.users.item.messages.item.reply.reply_post_request_body import ReplyPostRequestBody

    one = client.me.messages.by_message_id(original["id"])
    for post, body in (
        (one.forward.post, ForwardPostRequestBody(comment="See")),
        (one.reply.post, ReplyPostRequestBody(comment="Yes", message=Message(body=body_of("No")))),
    ):
        with pytest.raises(ODataError) as refused:
            await post(body)
        assert 400 == refused.value.response_status_code
    folders = {name: await client.me.mail_folders.by_mail_folder_id(name).get() for name in ("drafts", "sentitems")}
    assert {"drafts": 0, "sentitems": 0} == {name: one.total_item_count for name, one in folders.items()}


async def test_a_reply_to_a_draft_joins_no_conversation(client, graph):
    from msgraph.generated.models.message import Message
    from msgraph.generated.users.item.messages.item.create_reply.create_reply_post_request_body import (
        CreateReplyPostRequestBody,
    )

    draft = await client.me.messages.post(Message(subject="Mine", to_recipients=people("zoe@elsewhere.test")))
    reply = await client.me.messages.by_message_id(draft.id).create_reply.post(CreateReplyPostRequestBody())
    assert draft.conversation_id != reply.conversation_id


async def test_references_to_long_ids_are_never_written_as_encoded_words(client, graph, control):
    from msgraph.generated.users.item.messages.item.create_reply.create_reply_post_request_body import (
        CreateReplyPostRequestBody,
    )

    long = f"<{'A' * 90}@eurprd01.prod.exchangelabs.test>"
    mail = await control.deliver(graph.account, subject="Long", messageId=long)
    draft = await client.me.messages.by_message_id(mail["id"]).create_reply.post(CreateReplyPostRequestBody())
    assert f"In-Reply-To: {long}" in await mime(graph, draft.id)


async def test_the_sdk_uploads_a_large_file(client, graph, control):
    """The SDK's task reads only the longer spelling, and its loop repeats the last piece: so piece by piece."""
    from msgraph.generated.models.attachment_item import AttachmentItem
    from msgraph.generated.models.attachment_type import AttachmentType
    from msgraph.generated.models.message import Message
    from msgraph.generated.users.item.messages.item.attachments.create_upload_session.create_upload_session_post_request_body import (  # noqa: E501
        CreateUploadSessionPostRequestBody,
    )
    from msgraph_core.tasks.large_file_upload import LargeFileUploadTask

    await control.set(upload_ranges="span")
    draft = await client.me.messages.post(Message(subject="Big", to_recipients=people("zoe@elsewhere.test")))
    content = bytes(range(256)) * 16_000
    item = AttachmentItem(attachment_type=AttachmentType.File, name="big.bin", size=len(content))
    attachments = client.me.messages.by_message_id(draft.id).attachments
    session = await attachments.create_upload_session.post(CreateUploadSessionPostRequestBody(attachment_item=item))
    stream = io.BytesIO(content)
    task = LargeFileUploadTask(session, client.request_adapter, stream, max_chunk_size=2**21)
    following = await task.next_chunk(stream, 0, 2**21 - 1)
    task.next_range = following.next_expected_ranges[0]
    await task.next_chunk(stream)
    (file,) = (await attachments.get()).value
    assert ("big.bin", content) == (file.name, file.content_bytes)


# Folders


async def test_folders_are_made_renamed_moved_and_deleted_twice(client, graph, control):
    from msgraph.generated.models.mail_folder import MailFolder
    from msgraph.generated.users.item.mail_folders.item.move.move_post_request_body import MovePostRequestBody

    folders = client.me.mail_folders
    made = await folders.post(MailFolder(display_name="Projects"))
    child = await folders.by_mail_folder_id(made.id).child_folders.post(MailFolder(display_name="Mailmesh"))
    await control.deliver(graph.account, subject="Inside", folder="Projects/Mailmesh")
    below = folders.by_mail_folder_id(made.id).child_folders.by_mail_folder_id1(child.id)
    assert "Mesh" == (await below.patch(MailFolder(display_name="Mesh"))).display_name
    moved = await folders.by_mail_folder_id(child.id).move.post(MovePostRequestBody(destination_id="inbox"))
    assert (child.id, 1) == (moved.id, moved.total_item_count)
    await folders.by_mail_folder_id(child.id).delete()
    assert ["Mesh"] == [one.display_name for one in (
        await folders.by_mail_folder_id("deleteditems").child_folders.get()).value]  # fmt: skip
    await folders.by_mail_folder_id(child.id).delete()
    assert ["Inside"] == [one["subject"] for one in (await control.truth(graph.account))["deleted"]]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/me/mailFolders", {"displayName": "INBOX"}, 409, "ErrorFolderExists"),
        ("PATCH", "/me/mailFolders/inbox", {"displayName": "In"}, 403, "ErrorDeleteDistinguishedFolder"),
        ("DELETE", "/me/mailFolders/sentitems", None, 403, "ErrorDeleteDistinguishedFolder"),
        ("POST", "/me/mailFolders/{own}/move", {"destinationId": "{own}"}, 400, "ErrorMoveCopyFailed"),
        ("POST", "/me/mailFolders/{own}/move", {"destinationId": "nowhere"}, 404, "ErrorItemNotFound"),
        ("PATCH", "/me/mailFolders/{own}", {"isHidden": True}, 501, "notImplemented"),
        ("GET", "/me/mailFolders/inbox/childFolders/{own}", None, 404, "ErrorItemNotFound"),
    ],
)
async def test_a_change_of_a_folder_that_graph_refuses_is_refused(graph, control, method, path, body, status, code):
    own = (await control.add_folder(graph.account, "Own"))["id"]
    body = {key: value.format(own=own) if isinstance(value, str) else value for key, value in (body or {}).items()}
    answer = await graph.call(method, path.format(own=own), json=body or None)
    assert (status, code) == (answer.status_code, answer.json()["error"]["code"])


async def test_a_delta_over_folders_tells_what_was_made_changed_and_deleted(graph, control):
    first = await graph.get("/me/mailFolders/delta", headers={"prefer": "odata.maxpagesize=5"})
    rest = await graph.get(first["@odata.nextLink"], headers={"prefer": "odata.maxpagesize=5"})
    assert "Inbox" in [one["displayName"] for one in [*first["value"], *rest["value"]]]
    link = rest["@odata.deltaLink"]
    assert [] == (await graph.get(link))["value"]
    ids = [(await graph.call("POST", "/me/mailFolders", json={"displayName": name})).json()["id"] for name in "AB"]
    await graph.call("PATCH", f"/me/mailFolders/{ids[0]}", json={"displayName": "C"})
    for _ in range(2):
        await graph.call("DELETE", f"/me/mailFolders/{ids[1]}")
    page = await graph.get(link, headers={"prefer": "odata.maxpagesize=1"})
    last = await graph.get(page["@odata.nextLink"])
    assert ["C"] == [one["displayName"] for one in page["value"]]
    assert [{"id": ids[1], "@removed": {"reason": "deleted"}}] == last["value"]
    assert [] == (await graph.get(last["@odata.deltaLink"]))["value"]
    await control.expire_history(graph.account)
    await graph.get(last["@odata.deltaLink"], 410)
