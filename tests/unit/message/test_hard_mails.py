"""Kinds of difficult mail, each with the rule of its standard."""

import base64
from typing import Any

import pytest

from mailmesh.mail.v1 import message_pb2 as pb2
from services.message.addresses import parse_addresses
from services.message.charsets import decode_bytes
from services.message.dates import parse_date
from services.message.flowed import unflow
from services.message.headers import Headers, automation
from services.message.ids import answered_id, message_ids
from services.message.syntax import parse_value
from services.message.words import decode_words
from services.processor.mail.sources import gmail_mapping, graph_mapping


def part(media_type: str, content: str | bytes = "", *headers: tuple[str, str], **more: Any) -> dict[str, Any]:
    data = content.encode() if isinstance(content, str) else content
    fields = [{"name": name, "value": value} for name, value in headers]
    body = {"data": base64.urlsafe_b64encode(data).decode(), "size": len(data)}
    return {"mimeType": media_type, "headers": fields, "body": body, **more}


def mapped(*args: Any, **more: Any) -> pb2.MailMessage:
    return gmail_mapping.map_message({"id": "m1", "payload": part(*args, **more)}).message


def of_graph(html: str) -> pb2.Body:
    return graph_mapping.map_message({"id": "m1", "body": {"contentType": "html", "content": html}}).message.body


@pytest.mark.parametrize(("value", "expected"), [
    ("=?utf-8?B?5pel5pys6Kqe5g==?=", "日本語\N{REPLACEMENT CHARACTER}"),  # WHATWG Encoding 4.1
    ("=?gb2312?B?6Ua7+Q==?=", "镕基"), ("=?shift_jis?B?h0A=?=", "①"),  # 4.2, the table of labels
    ("=?ks_c_5601-1987?B?sKG52g==?=", "가박"), ("=?euc-jp?B?raE=?=", "①"), ("=?iso-2022-jp?B?GyRCLSEbKEI=?=", "①"),
    ("=?iso-8859-1?Q?=80?=", "€"), ("=?us-ascii?Q?=93x=94?=", "“x”"),
    ("=?iso-8859-9?Q?=80=FD?=", "€\N{LATIN SMALL LETTER DOTLESS I}"),
    ("=?tis-620?Q?=80?=", "€"), ("=?gb2312?Q?=C4=A3?=", "模"),
    ("=?iso-8859-1?Q?Frösche?=", "Frösche"), ("=?utf-8?Q?Frösche?=", "Frösche"), ("=?utf-8?Q?FrÃ¶sche?=", "Frösche"),
    ("=?iso-8859-1?Q?Fr\ufffdsche=F6?=", "Fr\ufffdscheö"),
])  # fmt: skip
def test_words_are_decoded_by_their_label(value: str, expected: str) -> None:
    assert expected == decode_words(value)


@pytest.mark.parametrize(("data", "charset", "expected"), [
    ("日本語".encode() + b"\xff" + "日".encode(), "utf-8", "日本語\ufffd日"),
    ("会議".encode("shift_jis") + b"\xff", "shift_jis", "会議\ufffd"),
    (b"caf\xe9", "utf-8", "café"), (b"10 \xe2\x82", "utf-8", "10 \ufffd"),
    ("Grüße".encode(), "utf-16", "Grüße"), ("Grüße".encode("utf-16"), "utf-8", "Grüße"),
    (b"\xef\xbb\xbfx", "iso-8859-1", "x"), ("会議".encode(), "iso-2022-jp", "会議"), ("模".encode("gbk"), "gbk", "模"),
])  # fmt: skip
def test_bytes_that_do_not_fit_are_replaced_alone(data: bytes, charset: str, expected: str) -> None:
    """WHATWG Encoding 4.1, 4.2 and 6 (byte order marks)."""
    assert expected == decode_bytes(data, charset)


@pytest.mark.parametrize("headers", [
    [], [("Content-Disposition", 'inline; filename="note.txt"')], [("Content-Type", 'text/plain; name="note.txt"')],
])  # fmt: skip
@pytest.mark.parametrize("media_type", ["text/plain", "text/enriched", "text/x-unknown"])
def test_a_root_is_the_body_whatever_its_name(media_type: str, headers: list[tuple[str, str]]) -> None:
    """RFC 8621 4.1.4, RFC 2183 2.1, RFC 2046 4.1.4."""
    message = mapped(media_type, "Hello", *headers, filename="note.txt")

    assert ("Hello", []) == (message.body.text, list(message.attachments))


def test_names_make_attachments_of_later_parts_only() -> None:
    """RFC 8621 4.1.4: the first of a multipart and each alternative are the body."""
    one, two = part("text/plain", "one", filename="a.txt"), part("text/plain", "two", filename="b.txt")
    html = part("text/html", "<p>three</p>", filename="c.html")
    mixed, choice = mapped("multipart/mixed", parts=[one, two]), mapped("multipart/alternative", parts=[one, html])

    assert ("one", ["b.txt"]) == (mixed.body.text, [found.name for found in mixed.attachments])
    assert ("one", "<p>three</p>", []) == (choice.body.text, choice.body.html, list(choice.attachments))


def test_another_kind_of_text_is_shown_unless_an_alternative_is_better() -> None:
    """RFC 2046 4.1.4 and 5.1.4."""
    enriched, html = part("text/enriched", "<bold>x</bold>"), part("text/html", "<p>y</p>")

    assert "<bold>x</bold>" == mapped("multipart/alternative", parts=[enriched]).body.text
    both = mapped("multipart/alternative", parts=[enriched, html])
    assert ("y", "<p>y</p>", ["text/enriched"]) == (
        both.body.text, both.body.html, [found.content_type for found in both.attachments],
    )  # fmt: skip


def test_only_the_root_of_related_parts_is_shown() -> None:
    """RFC 2387 3.1 and 3.2: the first part, or the one that `start` names."""
    one, two = part("text/html", "<p>one</p>"), part("text/html", "<p>two</p>", ("Content-ID", "<two@x.example>"))
    first = mapped("multipart/related", parts=[one, two])
    named = mapped(
        "multipart/related", "", ("Content-Type", 'multipart/related; start="<two@x.example>"'), parts=[one, two]
    )

    assert ("<p>one</p>", 1) == (first.body.html, len(first.attachments))
    assert ("<p>two</p>", 1) == (named.body.html, len(named.attachments))


Read = list[tuple[str, str]]


@pytest.mark.parametrize(("value", "expected"), [
    ("kim@post  . example", [("kim@post.example", "")]),  # RFC 5322 4.4
    ("kim @ post.example", [("kim@post.example", "")]),
    ("Kim <kim@post(main). example>", [("kim@post.example", "Kim")]),  # RFC 5322 3.2.2, A.5
    ("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", [("pete@silly.test", "Pete")]),
    ("Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",  # A.6.1, A.6.3
     [("mary@example.net", "Mary Smith"), ("jdoe@test.example", "")]),
    ("a@b@c.example", [("", "a@b@c.example")]), ("Kim <a@b@c.example>", [("", "Kim")]),
    ("<jo hn@x.example>", [("", "jo hn@x.example")]), ("kim@post.exam ple", [("", "kim@post.exam ple")]),
    ("(start)Hidden  :(nobody)  ;", []), ("(nobody)", []), ("a@x.example, (b@y.example)", [("a@x.example", "")]),
    ("Kim <<kim@post.example>>", [("kim@post.example", "Kim")]),
    ("'kim@post.example'", [("kim@post.example", "")]),
    ("Kim <'kim@post.example'>", [("kim@post.example", "Kim")]),
    ("o'neill@post.example", [("o'neill@post.example", "")]),
    ("'o'neill@post.example", [("'o'neill@post.example", "")]),
    ("<mailto:kim@post.example>", [("kim@post.example", "")]),
    ("a@x.example b@y.example", [("a@x.example", ""), ("b@y.example", "")]),
    ("Kim <a@x.example> Ben <b@y.example>", [("a@x.example", "Kim"), ("b@y.example", "Ben")]),
    ("Kim <work> <kim@x.example>", [("kim@x.example", "Kim <work>")]),
])  # fmt: skip
def test_addresses_are_right_or_names(value: str, expected: Read) -> None:
    assert expected == [(found.address, found.name) for found in parse_addresses(value)]


@pytest.mark.parametrize(("value", "expected"), [
    ("Mon, 1 Jul 2024 10:00:00 +02:00", "2024-07-01T10:00:00+02:00"),
    ("Mon, 1 Jul 2024 10:00:00 GMT+0200", "2024-07-01T10:00:00+02:00"),
    ("Mon, 1 Jul 2024 10:00:00 PM +0200", "2024-07-01T22:00:00+02:00"),
    ("Mon (day), 1 Jul (x (y)) 2024 (c) 10 : 00 : 00 (t) +0200 (CEST)", "2024-07-01T10:00:00+02:00"),  # RFC 5322 4.3
    ("Sat, 31 Dec 2016 23:59:60 +0000", "2017-01-01T00:00:00+00:00"),  # 3.3
    ("1 Jul 124 10:00:00 +0000", "2024-07-01T10:00:00+00:00"), ("1 Jul 69 10:00 EST", "1969-07-01T10:00:00-05:00"),
    ("Mon, 1 Jul 2024 10:00:00 IST", None), ("Mon, 1 Jul 2024 10:00:00", None),
    ("1 Jul 2024 10:00 GMT+0200 +0100", None),
    ("1 Jul 2024 10:00:00 +0260", None), ("1 Jul 2024 10:00:00 CET-0800", None), ("01/07/2024 10:00:00 +0000", None),
])  # fmt: skip
def test_a_date_is_right_or_absent(value: str, expected: str | None) -> None:
    found = parse_date(value)

    assert expected == (found.isoformat() if found else None)


@pytest.mark.parametrize(("value", "expected"), [
    ("<a@b.example> (see <c@d.example>)", ["<a@b.example>"]),  # RFC 5322 3.2.2
    ('Message from "Kim <kim@x.example>" <1@x.example>', ["<1@x.example>"]),  # 4.5.4
    ("<<a@b.example>>", ["<a@b.example>"]), ("<a@b>,<c@d>", ["<a@b>", "<c@d>"]), ("a@b, c@d", ["<a@b>", "<c@d>"]),
    ("=?utf-8?q?=3Cabc?= =?utf-8?q?def=40x=2Eexample=3E?=", ["<abcdef@x.example>"]),
    ("<a@b> =?utf-8?q?=3Cc=40d=3E?=", ["<a@b>", "<c@d>"]), ("Mail of Monday from kim@x.example", []),
])  # fmt: skip
def test_ids_are_found_outside_of_comments_and_phrases(value: str, expected: list[str]) -> None:
    assert expected == list(message_ids(value))


REPLIED = ("Auto-Submitted", "auto-replied")


@pytest.mark.parametrize(("fields", "expected"), [
    ([REPLIED, ("X-Failed-Recipients", "a@x.example")], pb2.AUTOMATION_KIND_BOUNCE),  # RFC 3834 5
    ([REPLIED, ("From", "MAILER-DAEMON@x.example"), ("Return-Path", "< >")], pb2.AUTOMATION_KIND_BOUNCE),
    ([REPLIED, ("From", "kim@x.example"), ("Return-Path", "<>")], pb2.AUTOMATION_KIND_AUTO_REPLY),  # RFC 3834 3.3
    ([("Auto-Submitted", "(vacation) auto-replied; x=y")], pb2.AUTOMATION_KIND_AUTO_REPLY),
    ([("Auto-Submitted", "(auto-replied) no")], pb2.AUTOMATION_KIND_UNSPECIFIED),
    ([("Content-Type", 'multipart/report; boundary="delivery-status"; report-type="Disposition-Notification"')],
     pb2.AUTOMATION_KIND_RECEIPT),  # RFC 8098 3
    ([("Content-Type", "multipart/report (x); report-type=(y)feedback-report")],
     pb2.AUTOMATION_KIND_COMPLAINT),  # RFC 5965 2
    ([("Content-Type", "multipart/report; report-type*0=delivery-; report-type*1=status")],  # RFC 3464 2, RFC 2231 3
     pb2.AUTOMATION_KIND_BOUNCE),
    ([("Content-Type", "multipart/mixed; boundary=delivery-status")], pb2.AUTOMATION_KIND_UNSPECIFIED),
    ([("X-MS-Exchange-Message-Is-Ndr", "")], pb2.AUTOMATION_KIND_BOUNCE),
])  # fmt: skip
def test_machines_are_told_apart(fields: list[tuple[str, str]], expected: int) -> None:
    assert expected == automation(Headers([{"name": name, "value": value} for name, value in fields]))


def test_the_parts_of_a_report_name_its_kind() -> None:
    """RFC 6522 3: the second part."""
    report = mapped("multipart/report", "", ("Content-Type", "multipart/report"), parts=[
        part("text/plain", "failed"), part("message/delivery-status", "Action: failed"),
    ])  # fmt: skip

    assert pb2.AUTOMATION_KIND_BOUNCE == report.automation


@pytest.mark.parametrize("source", [
    '<img src="cid:a%26b%2Bc@x.example">', '<img src="CID:a&amp;b+c@x.example">',
    '<td background="cid:a&amp;b+c@x.example">',
    "<p style=\"background:url('cid:a&amp;b+c@x.example')\">",
    "<style>p{background:url(cid:a%26b+c@x.example)}</style>",
    "<!--[if mso]><v:fill src='cid:a&amp;b+c@x.example'/><![endif]-->",
])  # fmt: skip
def test_content_ids_are_compared_as_addresses(source: str) -> None:
    """RFC 2392 2: percent-encoded; one id may be the beginning of another."""
    ids = ["a&b+c@x.example", "a&b+c@x.exam", "a&b+c@x.example.org"]
    pictures = [part("image/png", "x", ("Content-ID", f"<{content_id}>")) for content_id in ids]
    message = mapped("multipart/related", parts=[part("text/html", f"<p>{source}</p>"), *pictures])

    assert [True, False, False] == [found.is_inline for found in message.attachments]


@pytest.mark.parametrize(("text", "delete_space", "expected"), [  # RFC 3676 4.1 to 4.5, 5
    ("one \ntwo\nthree", False, "one two\nthree"), ("one \ntwo", True, "onetwo"),
    ("> one \n> two\n>> deep \nplain", False, "> one two\n>> deep \nplain"),
    (" >not quoted\n From", False, ">not quoted\nFrom"),
    ("Bye \n-- \nKim", False, "Bye \n-- \nKim"),
])  # fmt: skip
def test_flowed_text_is_made_whole(text: str, delete_space: bool, expected: str) -> None:
    assert expected == unflow(text, delete_space=delete_space)


def test_flowed_mails_and_signatures() -> None:
    """RFC 3676 4.3: the separator keeps its blank."""
    flowed = ("Content-Type", "text/plain; format=Flowed; DelSp=No")
    headers = [{"name": "Content-Type", "value": flowed[1]}]
    graph = {
        "id": "m",
        "internetMessageHeaders": headers,
        "body": {"contentType": "text", "content": "a \r\nb\r\n-- \r\nKim"},
    }

    assert "a b\n-- \nKim" == mapped("text/plain", "a \r\nb\r\n-- \r\nKim", flowed).body.text
    assert "a b\n-- \nKim" == graph_mapping.map_message(graph).message.body.text
    assert "a\n> -- \nKim" == mapped("text/plain", "a  \n> -- \nKim").body.text


def test_only_line_ends_end_lines() -> None:
    """RFC 5322 2.1; RFC 3629 6 for the byte order mark."""
    assert "a\fb\x85c\u2028d\ne" == mapped("text/plain", "\ufeffa\fb\x85c\u2028d\r\ne").body.text
    assert "x" == of_graph("\ufeffx").text


def test_parameters_are_parsed() -> None:
    """RFC 2045 5.1, RFC 2231 3 and 4, RFC 5322 3.2.2."""
    value = parse_value("""Text/Plain (c); charset="utf\\-8" ; name*0*=utf-8''a%20; name*1="b;c" ; Format = Flowed""")

    assert ("text/plain", "utf-8", "a b;c", "flowed") == (
        value.main, value.word("charset"), value.parameters["name"], value.word("format"),
    )  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), [
    ("\"Kim\" <kim@x.example>'s message of <1@x.example>", "<1@x.example>"),
    ('Message from Kim <kim@x.example> of "Mon, 1 Jul 2024" <1@x.example>', "<1@x.example>"),
    ("Your message of Mon, 1 Jul 2024 10:00:00 <1@x.example>", "<1@x.example>"),
    ("<1@x.example> from Kim <kim@x.example>", "<1@x.example>"),
    ("(Kim) <1@x.example> <2@x.example>", "<1@x.example>"),
    (", <1@x.example>, <2@x.example>", "<1@x.example>"),
    ("1@x.example 2@x.example", "<1@x.example>"), ("Kim", ""), ("", ""),
])  # fmt: skip
def test_the_answered_mail_is_no_address_in_a_phrase(value: str, expected: str) -> None:
    """RFC 5322 4.5.4: phrases of `In-Reply-To` are ignored."""
    assert expected == answered_id(value)
