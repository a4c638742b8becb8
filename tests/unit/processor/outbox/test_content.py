"""The content of a send is checked before it is stored."""

from typing import Any

import pytest

from mailmesh.processor.v1 import send_service_pb2 as pb2
from services.meshkit.errors import FieldInvalid
from services.processor.outbox.content import address_of, checked
from services.processor.outbox.requests import digest_of


def request(key: str = "one", **mail: Any) -> pb2.SendRequest:
    """Return a request that is valid but for the given fields."""
    fields: dict[str, Any] = {"to": [pb2.Recipient(address="ada@example.com")], "text": "Hello", **mail}
    return pb2.SendRequest(idempotency_key=key, tenant_id="t", mail=pb2.NewMail(**fields))


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("ada@example.com", "ada@example.com"),
        (" ada@EXAMPLE.com ", "ada@example.com"),
        ("Ada.Lovelace+x@example.co.uk", "Ada.Lovelace+x@example.co.uk"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@Bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@例え.テスト", "ada@xn--r8jz45g.xn--zckzah"),
    ],
)
def test_an_address_is_stored_with_its_domain_in_ascii(given: str, stored: str) -> None:
    assert stored == address_of("to", given)


@pytest.mark.parametrize(
    "given",
    [
        *(
            "",
            "ada",
            "@example.com",
            "ada@",
            "ada@localhost",
            "ada@@example.com",
            "a b@example.com",
            "ada@exa mple.com",
        ),
        *("ada@-x.com", "ada@x-.com", ".ada@example.com", "ada.@example.com", "a..b@example.com", '"a b"@example.com'),
        *("grüße@example.com", "ada@example.com\r\nBcc: eve@example.com", "ada\0@example.com"),
        *(
            "ada@example.com,eve@example.com",
            "<ada@example.com>",
            "x" * 65 + "@example.com",
            "ada@" + "x" * 64 + ".com",
        ),
        *("=?utf-8?q?ada?=@example.com", "=?@example.com"),
        *("ada@[127.0.0.1]", "ada@exa\u202emple.com", "ada@" + "a." * 150 + "com", "ada@xn--.com\u00ad"),
    ],
)
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(FieldInvalid):
        address_of("to", given)


@pytest.mark.parametrize(
    ("mail", "field"),
    [
        ({"to": []}, "mail.to"),
        ({"to": [pb2.Recipient(address="ada@example.com")] * 501}, "mail.to"),
        ({"bcc": [pb2.Recipient(address="no address")]}, "mail.bcc[0].address"),
        ({"cc": [pb2.Recipient(address="ada@example.com", name="A\r\nBcc: eve@example.com")]}, "mail.cc[0].name"),
        ({"subject": "Hello\r\nBcc: eve@example.com"}, "mail.subject"),
        ({"subject": "Hello\u2028there"}, "mail.subject"),
        ({"subject": "x" * 901}, "mail.subject"),
        ({"text": ""}, "mail.text"),
        ({"text": "x" * (512 * 1024), "html": "x"}, "mail.text"),
        ({"html": "a\0b"}, "mail.html"),
    ],
)
def test_a_field_that_is_not_valid_is_named(mail: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        checked(request(**mail))

    assert field == refused.value.metadata["field"]


@pytest.mark.parametrize("key", ["", "x" * 201, "a b", "grün", "a\n"])
def test_a_key_is_short_printable_ascii(key: str) -> None:
    with pytest.raises(FieldInvalid):
        checked(request(key))


def with_headers(headers: list[pb2.MailHeader]) -> pb2.SendRequest:
    """Return a request with header fields of the caller's own."""
    made = request()
    made.headers.extend(headers)
    return made


@pytest.mark.parametrize(("name", "value"), [
    ("Reply-To", "eve@x.example"), ("X-Mailmesh-Send-Id", "1"), ("X-", "1"), ("X-A:", "1"), ("X-A\r\nBcc", "1"),
    ("X-A", ""), ("X-A", "1\r\nBcc: eve@x.example"), ("X-A", "=?utf-8?q?a?="), ("X-A", "é"), ("X-A", " 1"),
    ("X-A", "1" * 501),
])  # fmt: skip
def test_a_header_that_is_not_the_callers_own_is_refused(name: str, value: str) -> None:
    with pytest.raises(FieldInvalid):
        checked(with_headers([pb2.MailHeader(name=name, value=value)]))


def test_headers_are_few_and_each_has_a_name_of_its_own() -> None:
    few = [pb2.MailHeader(name=f"X-{place}", value="1") for place in range(5)]
    checked(with_headers(few[:4]))
    for wrong in (few, [few[0], pb2.MailHeader(name="x-0", value="2")]):
        with pytest.raises(FieldInvalid):
            checked(with_headers(wrong))


@pytest.mark.parametrize("message_id", ["", ".", "..", "a b", "x" * 501])
def test_the_id_of_an_original_is_an_id(message_id: str) -> None:
    reply = pb2.Reply(message_id=message_id, text="Yes")
    with pytest.raises(FieldInvalid) as refused:
        checked(pb2.SendRequest(idempotency_key="k", reply=reply))

    assert ["reply.message_id"] == list(refused.value.violations)


def test_a_request_without_a_mail_is_refused() -> None:
    with pytest.raises(FieldInvalid):
        checked(pb2.SendRequest(idempotency_key="one", tenant_id="t"))


def test_the_digest_depends_on_the_content_and_not_on_the_key() -> None:
    assert digest_of(request("one")) == digest_of(request("two"))
    assert digest_of(request()) != digest_of(request(text="Goodbye"))
    assert digest_of(request()) != digest_of(request(subject="Hello"))


OTHERS = (0x61C, 0x180E, 0x200B, 0x200E, 0x2028, 0x202E, 0x2060, 0x2066, 0xFEFF, 0xFFF9, 0xE0041)


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0), *OTHERS], ids=hex)
def test_a_character_that_acts_is_refused_in_a_subject_and_a_name(code: int) -> None:
    text = f"a{chr(code)}b"
    recipient = pb2.Recipient(address="ada@example.com", name=text)
    for mail in ({"subject": text}, {"to": [recipient]}, {"bcc": [recipient]}):
        with pytest.raises(FieldInvalid, match="no control, direction or invisible"):
            checked(request(**mail))


def test_joiners_of_scripts_and_emoji_are_taken() -> None:
    text = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \U0001f469\u200d\U0001f467"

    assert text == checked(request(subject=text)).mail.subject
