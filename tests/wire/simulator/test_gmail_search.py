"""Gmail's search and partial responses."""

import pytest

MAILS = [
    {"subject": "Invoice one", "from": "Ada <ada@x.test>", "to": "me@x.test", "isRead": True, "messageId": "<1@x>"},
    {"subject": "Offer two", "from": "Bob <bob@y.test>", "text": "a needle in the hay", "labels": ["INBOX", "STARRED"]},
    {
        "subject": "Invoice three",
        "from": "Bob <bob@y.test>",
        "attachments": [{"name": "r.pdf", "base64": "QUJD" * 900}],
    },
    {"subject": "Rubbish", "from": "Eve <eve@z.test>", "labels": ["SPAM"]},
]


@pytest.fixture
async def shelf(gmail, control):
    for at, mail in enumerate(MAILS):
        await control.deliver(gmail.account, **{"receivedAtMs": 1_790_000_000_000 + at * 86_400_000, **mail})
    return gmail


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("invoice", "20"),
        ("from:ada OR needle", "10"),
        ("from:ada | needle", "10"),
        ("from:ada AND invoice", "0"),
        ("{from:ada needle}", "10"),
        ("subject:invoice {from:ada from:bob}", "20"),
        ("(from:bob invoice) OR from:ada", "20"),
        ("from:(bob y.test)", "21"),
        ("from:{ada bob}", "210"),
        ("-from:bob", "0"),
        ("-(from:bob invoice)", "10"),
        ("-{from:ada is:starred}", "2"),
        ('"needle in"', "1"),
        ('subject:"invoice three"', "2"),
        ("has:attachment", "2"),
        ("filename:pdf", "2"),
        ("larger:2K", "2"),
        ("smaller:2K", "10"),
        ("is:unread", "21"),
        ("is:read", "0"),
        ("is:starred in:inbox", "1"),
        ("to:me@x.test", "0"),
        ("in:spam", "3"),
        ("in:anywhere rubbish", "3"),
        ("rfc822msgid:<1@x>", "0"),
        ("after:2026/09/22", "21"),
        ("before:2026/09/22", "0"),
        ("after:2026/9/21", "210"),
        ("after:1790000001 before:1790100000", "1"),
        ("invoice OR offer from:bob", "21"),
        ("label:nothing", ""),
    ],
)
async def test_a_query_finds_what_it_says(shelf, query, found):
    ids = [one["id"] for one in (await shelf.get("/messages", params={"q": query})).get("messages", [])]
    shown = [(await shelf.get(f"/messages/{one}?format=metadata"))["payload"]["headers"] for one in ids]
    subjects = [next(header["value"] for header in headers if header["name"] == "Subject") for headers in shown]
    assert [MAILS[int(at)]["subject"] for at in found] == subjects


@pytest.mark.parametrize("query", ["(invoice", "after:never", "larger:much", "newer_than:3x"])
async def test_a_malformed_query_is_refused(shelf, query):
    await shelf.get("/messages", 400, params={"q": query})


async def test_fields_leave_only_what_they_name(shelf):
    page = await shelf.get("/messages?fields=messages(id),nextPageToken&maxResults=1")
    assert ({"messages", "nextPageToken"}, {"id"}) == (set(page), set(page["messages"][0]))
    one = await shelf.get(f"/messages/{page['messages'][0]['id']}?fields=id,payload/headers/name")
    assert ({"id", "payload"}, {"headers"}, {"name"}) == (
        set(one),
        set(one["payload"]),
        set(one["payload"]["headers"][0]),
    )
    assert page["messages"] == (await shelf.get("/messages?fields=messages/id&maxResults=1"))["messages"]
    for wrong in ("messages(id", "messages)", "a,,b", "a b"):
        await shelf.get("/messages", 400, params={"fields": wrong})
