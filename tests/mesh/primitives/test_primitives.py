"""Callers read mails and documents by the running mesh: over gRPC, over REST and by the command line."""

import base64
import json
from pathlib import Path

import grpc
import httpx
import psutil
import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from mailmesh.primitives.v1 import primitive_service_pb2 as messages
from mailmesh.primitives.v1 import primitive_service_pb2_grpc as services
from tests.programs.mesh import Mesh
from tests.security.doors import mesh_channel, rest
from tests.unit.primitives import samples

pytestmark = pytest.mark.timeout(300)
MAIL = (
    b"From: Ada <ada@example.com>\r\nTo: desk@example.org\r\nSubject: Offer\r\n\r\n"
    b"Thirty euros.\r\n\r\nOn Thu, Nov 26, 2026 at 9:00 AM Desk <desk@example.org> wrote:\r\n> How much?\r\n"
)


def parsed(client: httpx.Client, content: bytes) -> httpx.Response:
    return client.post("/v1/primitives:parseMail", json={"content": base64.b64encode(content).decode()})


def test_a_mail_is_parsed_over_grpc_rest_and_the_command_line(mesh: Mesh, tmp_path: Path) -> None:
    stub = services.PrimitiveServiceStub(mesh.channel)
    by_grpc = stub.ParseMail(messages.ParseMailRequest(content=MAIL), timeout=60)
    with rest(mesh, mesh.key) as client:
        by_rest = parsed(client, MAIL)
    file = tmp_path / "mail.eml"
    file.write_bytes(MAIL)
    by_command = mesh.run("primitives", "parse", str(file), "--json")

    assert by_grpc.message.body.reply_text == "Thirty euros."
    assert by_rest.status_code == 200, by_rest.text
    assert by_rest.json()["message"]["body"]["replyText"] == "Thirty euros."
    assert by_command.returncode == 0, by_command.stderr
    assert json.loads(by_command.stdout)["message"]["subject"] == "Offer"
    assert "Thirty euros." in mesh.run("primitives", "parse", str(file)).stdout


def test_a_mail_beyond_the_bound_of_other_requests_is_taken_and_one_beyond_its_own_is_refused(mesh: Mesh) -> None:
    with rest(mesh, mesh.key) as client:
        large = parsed(client, b"Subject: large\r\n\r\n" + b"word \r\n" * 500_000)
        too_large = parsed(client, b"x" * 7 * 1024 * 1024)
        empty = parsed(client, b"")

    assert large.status_code == 200, large.text
    assert large.json()["truncation"]["isTextCut"]
    assert too_large.status_code == 413
    assert empty.status_code == 400
    assert empty.json()["details"][0]["reason"] == "FIELD_INVALID"


def test_a_document_is_extracted_over_grpc_rest_and_the_command_line(mesh: Mesh, tmp_path: Path) -> None:
    content = samples.word(samples.paragraph("Thirty euros."))
    stub = services.PrimitiveServiceStub(mesh.channel)
    by_grpc = stub.ExtractDocument(messages.ExtractDocumentRequest(content=content), timeout=60)
    with rest(mesh, mesh.key) as client:
        request = {"content": base64.b64encode(samples.pdf("Page one")).decode(), "fileName": "offer.pdf"}
        by_rest = client.post("/v1/primitives:extractDocument", json=request)
    file = tmp_path / "offer.docx"
    file.write_bytes(content)
    by_command = mesh.run("primitives", "extract", str(file))

    assert (by_grpc.format, by_grpc.text) == ("docx", "Thirty euros.\n")
    assert by_rest.status_code == 200, by_rest.text
    assert by_rest.json()["text"] == "Page one\n"
    assert "Thirty euros." in by_command.stdout, by_command.stderr


def test_a_text_is_classified_over_grpc_rest_and_the_command_line(mesh: Mesh, tmp_path: Path) -> None:
    text = "Two of the five chairs that we ordered are missing from the parcel."
    labels = [
        messages.ClassifyLabel(name="bill", examples=["The amount on your bill is wrong.", "Our invoice is attached."]),
        messages.ClassifyLabel(name="delivery", examples=["Where is my parcel?", "My order has not arrived."]),
    ]
    request = messages.ClassifyMessageRequest(subject="Chairs", text=text, labels=labels)
    by_grpc = services.PrimitiveServiceStub(mesh.channel).ClassifyMessage(request, timeout=60)
    with rest(mesh, mesh.key) as client:
        by_rest = client.post("/v1/primitives:classifyMessage", json=json_format.MessageToDict(request))
        refused = client.post("/v1/primitives:classifyMessage", json={"text": text, "labels": [{"name": "one"}]})
    file = tmp_path / "text.txt"
    file.write_text(text)
    options = [f"--label={label.name}={example}" for label in labels for example in label.examples]
    by_command = mesh.run("primitives", "classify", str(file), *options, "--subject", "Chairs", "--json")

    assert by_grpc.label == "delivery"
    assert [score.label for score in by_grpc.scores] == ["bill", "delivery"]
    assert by_rest.status_code == 200, by_rest.text
    assert by_command.returncode == 0, by_command.stderr
    for answer in (by_rest.text, by_command.stdout):
        assert json_format.Parse(answer, messages.ClassifyMessageResponse()) == by_grpc
    assert refused.json()["details"][0]["reason"] == "FIELD_INVALID"


def test_fields_are_extracted_over_grpc_rest_and_the_command_line(mesh: Mesh, tmp_path: Path) -> None:
    text = "Rechnungsnummer: RE-2026/118\nGesamt: 1.234,56 € bis 24.12.2026"
    properties = {"rechnungsnummer": {"format": "identifier"}, "gesamt": {"format": "amount"}}
    request = messages.ExtractFieldsRequest(text=text)
    request.schema.update({"type": "object", "properties": properties})
    by_grpc = services.PrimitiveServiceStub(mesh.channel).ExtractFields(request, timeout=60)
    with rest(mesh, mesh.key) as client:
        by_rest = client.post("/v1/primitives:extractFields", json=json_format.MessageToDict(request))
        unsupported = {"type": "object", "properties": {"a": {"pattern": "(a+)+$"}}}
        refused = client.post("/v1/primitives:extractFields", json={"text": text, "schema": unsupported})
    file = tmp_path / "text.txt"
    file.write_text(text)
    options = [f"--field={name}={value['format']}" for name, value in properties.items()]
    by_command = mesh.run("primitives", "fields", str(file), *options)

    found = [(field.name, field.values[0].value, field.values[0].source) for field in by_grpc.fields]
    assert found == [("gesamt", "1234.56 EUR", "1.234,56 €"), ("rechnungsnummer", "RE-2026/118", "RE-2026/118")]
    assert json_format.Parse(by_rest.text, messages.ExtractFieldsResponse()) == by_grpc
    assert refused.status_code == 400
    assert refused.json()["details"][0]["reason"] == "SCHEMA_UNSUPPORTED"
    assert "1234.56 EUR" in by_command.stdout, by_command.stderr


def test_hostile_documents_are_refused_by_name_and_the_service_goes_on(mesh: Mesh) -> None:
    refused = []
    stub = services.PrimitiveServiceStub(mesh.channel)
    for content in (
        b"\0\1\2",
        samples.word("<w:p>" * 10_000),
        samples.zipped({"word/document.xml": b" " * 150_000_000}),
    ):
        with pytest.raises(grpc.RpcError) as failed:
            stub.ExtractDocument(messages.ExtractDocumentRequest(content=content), timeout=60)
        info = error_details_pb2.ErrorInfo()
        details = rpc_status.from_call(failed.value).details
        next(detail for detail in details if detail.Is(info.DESCRIPTOR)).Unpack(info)
        refused.append((info.reason, info.metadata.get("cause", "")))

    assert refused == [
        ("DOCUMENT_FORMAT_UNKNOWN", ""),
        ("CONTENT_UNREADABLE", "nesting"),
        ("CONTENT_UNREADABLE", "bomb"),
    ]
    assert stub.ExtractDocument(messages.ExtractDocumentRequest(content=b"plain"), timeout=60).text == "plain\n"


def test_primitives_has_no_store_no_secret_and_no_door_of_the_mesh(mesh: Mesh) -> None:
    environment = json.loads((mesh.data / "environments" / "primitives.json").read_text())
    process = psutil.Process(mesh.ready.processes["primitives"])

    assert {name for name in environment if name.startswith("MAILMESH_")} <= {
        "MAILMESH_LISTEN", "MAILMESH_METRICS_LISTEN", "MAILMESH_TLS_CERT", "MAILMESH_TLS_KEY", "MAILMESH_TLS_CA",
        "MAILMESH_OTLP_ENDPOINT", "MAILMESH_LOG_LEVEL",
    }  # fmt: skip
    assert "postgres" not in json.dumps(environment)
    assert process.is_running()
    with mesh_channel(mesh, "primitives", "vault") as channel:
        call = channel.unary_unary("/mailmesh.vault.v1.TokenVaultService/IssueToken")
        with pytest.raises(grpc.RpcError) as refused:
            call(b"", timeout=30)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
