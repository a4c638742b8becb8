"""A conversation between the two providers, held by official clients alone."""

import asyncio
import base64
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import google.auth.transport.requests
import google.oauth2.credentials
import msal
import pytest
import requests

from tests.programs.simulator import RunningSimulator
from tests.wire.simulator.sdk import body_of, gmail_client, graph_client, people

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SCOPES = ["User.Read", "Mail.ReadWrite", "Mail.Send"]


def by_msal(simulator: RunningSimulator, refresh_token: str) -> dict[str, Any]:
    """Tokens of Microsoft's."""
    application = msal.ConfidentialClientApplication(
        simulator.settings["MAILMESH_MS365_CLIENT_ID"],
        client_credential=simulator.settings["MAILMESH_MS365_CLIENT_SECRET"],
        authority=f"{simulator.microsoft}/organizations",
        instance_discovery=False,
        verify=str(simulator.ca_file),
    )
    return dict(application.acquire_token_by_refresh_token(refresh_token, SCOPES))


def by_google_auth(simulator: RunningSimulator, refresh_token: str) -> dict[str, Any]:
    """Tokens of Google's."""
    made = google.oauth2.credentials.Credentials(
        None,
        refresh_token=refresh_token,
        token_uri=simulator.settings["MAILMESH_GOOGLEWS_TOKEN_URL"],
        client_id=simulator.settings["MAILMESH_GOOGLEWS_CLIENT_ID"],
        client_secret=simulator.settings["MAILMESH_GOOGLEWS_CLIENT_SECRET"],
    )
    session = requests.Session()
    session.verify, session.trust_env = str(simulator.ca_file), False
    made.refresh(google.auth.transport.requests.Request(session))
    return {"access_token": made.token}


class Gmail:
    """The Google side, as one who reads and answers mail."""

    def __init__(self, users: Any) -> None:
        self._users = users

    async def _run(self, request: Any) -> Any:
        return await asyncio.to_thread(request.execute)

    async def newest(self) -> dict[str, Any]:
        """The newest mail of the inbox, with its headers."""
        found = await self._run(self._users.messages().list(userId="me", labelIds=["INBOX"], maxResults=1))
        return await self.read(found["messages"][0]["id"])

    async def read(self, mail_id: str) -> dict[str, Any]:
        """One mail with its headers."""
        mail = await self._run(self._users.messages().get(userId="me", id=mail_id, format="metadata"))
        headers = {one["name"].lower(): one["value"] for one in mail["payload"]["headers"]}
        return {"id": mail["id"], "threadId": mail["threadId"], **headers}

    async def answer(self, mail: dict[str, Any], text: str) -> dict[str, Any]:
        """Answers a mail in its thread; the answer is the sender's copy."""
        reply = EmailMessage()
        reply["To"], reply["Subject"] = mail["from"], f"Re: {mail['subject'].removeprefix('RE: ')}"
        reply["In-Reply-To"] = mail["message-id"]
        reply["References"] = f"{mail.get('references', '')} {mail['message-id']}".strip()
        reply.set_content(text)
        body = {"raw": base64.urlsafe_b64encode(reply.as_bytes()).decode(), "threadId": mail["threadId"]}
        sent = await self._run(self._users.messages().send(userId="me", body=body))
        return await self.read(sent["id"])

    async def thread(self, thread_id: str) -> list[str]:
        """The ids of a thread's mails, oldest first."""
        found = await self._run(self._users.threads().get(userId="me", id=thread_id, format="minimal"))
        return [one["id"] for one in found["messages"]]


class Graph:
    """The Microsoft side, as one who reads and answers mail."""

    def __init__(self, client: Any) -> None:
        self._me = client.me

    async def send(self, to: str, subject: str) -> None:
        from msgraph.generated.models.message import Message
        from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody

        message = Message(subject=subject, body=body_of("<p>Hello</p>"), to_recipients=people(to))
        # The SDK's model says False where its user says nothing, and then no copy is kept.
        await self._me.send_mail.post(SendMailPostRequestBody(message=message, save_to_sent_items=True))

    async def newest(self, folder: str) -> Any:
        """The newest mail of a folder."""
        return (await self._me.mail_folders.by_mail_folder_id(folder).messages.get()).value[0]

    async def answer(self, mail: Any, comment: str) -> None:
        """Answers a mail by a draft that Exchange prepares."""
        from msgraph.generated.users.item.messages.item.create_reply.create_reply_post_request_body import (
            CreateReplyPostRequestBody,
        )

        draft = await self._me.messages.by_message_id(mail.id).create_reply.post(
            CreateReplyPostRequestBody(comment=comment)
        )
        await self._me.messages.by_message_id(draft.id).send.post()


@pytest.fixture
async def microsoft(graph, simulator) -> Any:
    graph.tokens = await asyncio.to_thread(by_msal, simulator, graph.tokens["refresh_token"])
    async with graph_client(graph, simulator) as client:
        yield Graph(client)


@pytest.fixture
def google_side(gmail, simulator) -> Iterator[Gmail]:
    gmail.tokens = by_google_auth(simulator, gmail.tokens["refresh_token"])
    with gmail_client(gmail, simulator) as users:
        yield Gmail(users)


@pytest.mark.parametrize("fate", ["kept", "rewritten"])
async def test_a_conversation_stays_one_at_both_providers(microsoft, google_side, graph, gmail, control, fate):
    await control.set(graph_message_ids=fate, gmail_message_ids=fate)
    await microsoft.send(gmail.account, "Plans")
    first = await google_side.newest()
    sent = await microsoft.newest("sentitems")
    assert (sent.internet_message_id, "Plans") == (first["message-id"], first["subject"])

    reply = await google_side.answer(first, "Yes")
    assert first["threadId"] == reply["threadId"]
    arrived = await microsoft.newest("inbox")
    assert (sent.conversation_id, reply["message-id"]) == (arrived.conversation_id, arrived.internet_message_id)
    assert gmail.account == arrived.from_.email_address.address

    await microsoft.answer(arrived, "Good")
    again = await google_side.newest()
    assert (first["threadId"], "RE: Plans") == (again["threadId"], again["subject"].replace("Re: ", "RE: "))
    assert reply["message-id"] == again["in-reply-to"]
    assert [first["message-id"], reply["message-id"]] == again["references"].split()
    assert [first["id"], reply["id"], again["id"]] == await google_side.thread(first["threadId"])
    assert sent.conversation_id == (await microsoft.newest("sentitems")).conversation_id


async def test_an_answer_without_references_begins_a_conversation_of_its_own(microsoft, google_side, gmail):
    await microsoft.send(gmail.account, "Plans")
    first = await google_side.newest()
    sent = await microsoft.newest("sentitems")
    reply = await google_side.answer({**first, "message-id": "<unknown@elsewhere.test>"}, "Yes")
    assert first["threadId"] != reply["threadId"]
    assert sent.conversation_id != (await microsoft.newest("inbox")).conversation_id
