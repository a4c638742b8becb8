"""Microsoft's own SDK drives the simulated Graph."""

import json
from typing import Any

import pytest

from tests.wire.simulator.graph_models import PATH, read_models
from tests.wire.simulator.sdk import graph_client

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
async def client(graph, simulator) -> Any:
    async with graph_client(graph, simulator) as made:
        yield made


def test_the_table_of_models_is_the_sdks():
    assert read_models() == json.loads(PATH.read_text())


async def test_the_sdk_sends_a_mail_that_arrives_with_all_it_holds(client, graph, control):
    from msgraph.generated.models.body_type import BodyType
    from msgraph.generated.models.email_address import EmailAddress
    from msgraph.generated.models.file_attachment import FileAttachment
    from msgraph.generated.models.importance import Importance
    from msgraph.generated.models.item_body import ItemBody
    from msgraph.generated.models.message import Message
    from msgraph.generated.models.recipient import Recipient
    from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody

    message = Message(
        subject="By SDK",
        importance=Importance.High,
        body=ItemBody(content_type=BodyType.Html, content="<p>Hi</p>"),
        to_recipients=[Recipient(email_address=EmailAddress(address=graph.account, name="Me, Myself"))],
        attachments=[FileAttachment(name="a.txt", content_type="text/plain", content_bytes=b"YWJj")],
    )
    await client.me.send_mail.post(SendMailPostRequestBody(message=message, save_to_sent_items=True))
    folders = {one["wellKnownFolder"]: one for one in (await control.truth(graph.account))["messages"]}
    assert {"sentitems", "inbox"} == set(folders)
    found = await client.me.messages.by_message_id(folders["inbox"]["id"]).get()
    assert ("By SDK", Importance.High, "Me, Myself") == (
        found.subject, found.importance, found.to_recipients[0].email_address.name
    )  # fmt: skip
    files = await client.me.messages.by_message_id(folders["inbox"]["id"]).attachments.get()
    assert ["a.txt"] == [one.name for one in files.value]


async def test_the_sdk_lists_filters_patches_moves_and_meets_errors(client, graph, control):
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from msgraph.generated.models.message import Message
    from msgraph.generated.models.o_data_errors.o_data_error import ODataError
    from msgraph.generated.users.item.messages.item.move.move_post_request_body import MovePostRequestBody
    from msgraph.generated.users.item.messages.messages_request_builder import MessagesRequestBuilder

    await control.deliver(graph.account, subject="It's and more")
    await control.deliver(graph.account, subject="Other")
    query = MessagesRequestBuilder.MessagesRequestBuilderGetQueryParameters(
        filter="contains(subject,'It''s and')", select=["id", "subject"], top=5, count=True
    )
    page = await client.me.messages.get(request_configuration=RequestConfiguration(query_parameters=query))
    assert (["It's and more"], 1) == ([one.subject for one in page.value], page.odata_count)
    one = client.me.messages.by_message_id(page.value[0].id)
    assert (await one.patch(Message(is_read=True, categories=["Red"]))).is_read
    moved = await one.move.post(MovePostRequestBody(destination_id="archive"))
    archive = await client.me.mail_folders.by_mail_folder_id("archive").get()
    assert archive.id == moved.parent_folder_id
    with pytest.raises(ODataError) as refused:
        await one.get()
    assert (404, "ErrorItemNotFound") == (refused.value.response_status_code, refused.value.error.code)
    folders = await client.me.mail_folders.get()
    assert "Inbox" in [folder.display_name for folder in folders.value]
