"""Google's own client drives the simulated Gmail, and a push fits Pub/Sub's schema."""

import asyncio
import base64
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaIoBaseUpload

from tests.wire.simulator.google_schema import check
from tests.wire.simulator.sdk import gmail_client

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def service(gmail, simulator) -> Any:
    with gmail_client(gmail, simulator) as made:
        yield made


async def run(work: Callable[[], Any]) -> Any:
    """Runs the blocking client beside the loop."""
    return await asyncio.to_thread(work)


def encoded(subject: str) -> dict[str, str]:
    mime = f"To: x@elsewhere.test\r\nSubject: {subject}\r\n\r\nHi\r\n".encode()
    return {"raw": base64.urlsafe_b64encode(mime).decode()}


async def test_googles_client_reads_searches_marks_and_pages(service, gmail, control):
    for at in range(5):
        await control.deliver(gmail.account, subject=f"Mail {at}", attachments=[{"name": "a.txt", "base64": "YWJj"}])

    def work() -> tuple[list[str], dict[str, Any], bytes]:
        request = service.messages().list(userId="me", q="has:attachment", maxResults=2)
        ids: list[str] = []
        while request is not None:
            page = request.execute()
            ids += [one["id"] for one in page["messages"]]
            request = service.messages().list_next(request, page)
        whole = service.messages().get(userId="me", id=ids[0]).execute()
        part = next(part for part in whole["payload"]["parts"] if part["filename"])
        found = service.messages().attachments().get(userId="me", messageId=ids[0], id=part["body"]["attachmentId"])
        marked = service.messages().modify(userId="me", id=ids[0], body={"removeLabelIds": ["UNREAD"]}).execute()
        service.messages().batchModify(userId="me", body={"ids": ids, "addLabelIds": ["STARRED"]}).execute()
        return ids, marked, base64.urlsafe_b64decode(found.execute()["data"])

    ids, marked, content = await run(work)
    assert (5, b"abc", ["INBOX"]) == (len(set(ids)), content, marked["labelIds"])


async def test_googles_client_reads_history_watches_and_meets_google_errors(service, gmail, control):
    def begin() -> str:
        return str(service.getProfile(userId="me").execute()["historyId"])

    start = await run(begin)
    await control.deliver(gmail.account, subject="Hello")

    def work() -> tuple[Any, Any, HttpError]:
        history = service.history().list(userId="me", startHistoryId=start, historyTypes=["messageAdded"]).execute()
        topic = "projects/mailmesh-simulator/topics/gmail"
        watch = service.watch(userId="me", body={"topicName": topic, "labelIds": ["INBOX"]}).execute()
        service.stop(userId="me").execute()
        with pytest.raises(HttpError) as refused:
            service.messages().get(userId="me", id="19ffffffffffffff").execute()
        return history, watch, refused.value

    history, watch, error = await run(work)
    assert (1, 404) == (len(history["history"]), error.status_code)
    assert int(watch["expiration"]) > 0


async def test_googles_client_writes_drafts_labels_threads_and_uploads(service):
    def work() -> tuple[Any, ...]:
        draft = service.drafts().create(userId="me", body={"message": encoded("One")}).execute()
        service.drafts().update(userId="me", id=draft["id"], body={"message": encoded("Two")}).execute()
        sent = service.drafts().send(userId="me", body={"id": draft["id"]}).execute()
        label = service.labels().create(userId="me", body={"name": "Work"}).execute()
        service.labels().patch(userId="me", id=label["id"], body={"name": "Home"}).execute()
        thread = (
            service.threads().modify(userId="me", id=sent["threadId"], body={"addLabelIds": [label["id"]]}).execute()
        )
        service.labels().delete(userId="me", id=label["id"]).execute()
        mime = f"To: x@elsewhere.test\r\nSubject: Big\r\n\r\n{'A' * 600_000}\r\n".encode()
        media = MediaIoBaseUpload(io.BytesIO(mime), "message/rfc822", chunksize=262_144, resumable=True)
        large = service.messages().send(userId="me", body={}, media_body=media).execute()
        simple = MediaIoBaseUpload(io.BytesIO(mime), "message/rfc822")
        related = (
            service.messages().send(userId="me", body={"threadId": large["threadId"]}, media_body=simple).execute()
        )
        return label, thread, large, related

    label, thread, large, related = await run(work)
    assert [label["id"], "SENT"] == thread["messages"][0]["labelIds"]
    assert (["SENT"], ["SENT"]) == (large["labelIds"], related["labelIds"])


async def test_googles_client_batches(service, gmail, control, simulator):
    mail = await control.deliver(gmail.account, subject="Hello")
    found: dict[str, Any] = {}

    def work() -> None:
        from googleapiclient.http import BatchHttpRequest

        batch = BatchHttpRequest(lambda name, answer, error: found.update({name: error or answer["id"]}),
                                 batch_uri=f"{simulator.google}/batch/gmail/v1")  # fmt: skip
        for name in (mail["id"], "19ffffffffffffff"):
            batch.add(service.messages().get(userId="me", id=name), request_id=name)
        batch.execute()

    await run(work)
    assert mail["id"] == found[mail["id"]]
    assert 404 == found["19ffffffffffffff"].status_code


async def test_a_batch_lacks_an_answer_when_a_fault_says_so(gmail, control, simulator):
    paths = [f"/gmail/v1/users/me/{what}" for what in ("profile", "labels")]
    parts = [
        f"Content-Type: application/http\r\nContent-ID: <{path}>\r\n\r\nGET {path} HTTP/1.1\r\n\r\n" for path in paths
    ]
    body = "".join(f"--b\r\n{part}\r\n" for part in parts) + "--b--\r\n"
    headers = {"content-type": "multipart/mixed; boundary=b"}
    await control.add_fault("missing_answer", endpoint="gmail.batch", count=1)
    for count in (1, 2):
        answer = await gmail.call("POST", f"{simulator.google}/batch/gmail/v1", content=body, headers=headers)
        assert (200, count) == (answer.status_code, answer.text.count("HTTP/1.1 200"))


async def test_a_push_fits_pubsubs_schema(gmail, control):
    forged = await control.request("POST", "/pubsub/forge", {"address": gmail.account, "historyId": 7})
    message = dict(forged["body"]["message"])
    assert (message.pop("message_id"), message.pop("publish_time")) == (message["messageId"], message["publishTime"])
    check("pubsub.v1", {"$ref": "PubsubMessage"}, message, "PubsubMessage")
    assert {"emailAddress": gmail.account, "historyId": 7} == json.loads(base64.b64decode(message["data"]))
