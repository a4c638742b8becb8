"""Graph's $filter, $search, $skip and $count, as official clients write them."""

import pytest


@pytest.fixture
async def shelf(graph, control):
    """A mailbox with four mails that differ in everything a query can name."""
    mails = (
        {"subject": "Invoice and more", "from": "Ada <ada@x.test>", "isRead": True, "categories": ["Red", "O'Neil"]},
        {"subject": "It's O'Neil's offer", "from": "Bob <bob@y.test>", "headers": {"Importance": "high"}},
        {"subject": "Report (final)", "from": "Ada <ada@x.test>", "attachments": [{"name": "a.txt", "base64": "YQ=="}]},
        {"subject": "invoice 2", "from": "Cid <cid@z.test>", "categories": ["Blue"], "text": "the needle is here"},
    )
    for at, mail in enumerate(mails):
        await control.deliver(graph.account, **{"receivedAtMs": 1_790_000_000_000 + at * 86_400_000, **mail})
    return graph


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("subject eq 'Invoice and more'", [0]),
        ("subject eq 'It''s O''Neil''s offer'", [1]),
        ("startswith(subject,'invoice')", [3, 0]),
        ("contains(subject,' and ')", [0]),
        ("endswith(subject,'offer')", [1]),
        ("isRead eq true or importance eq 'high'", [1, 0]),
        ("not (isRead eq true)", [3, 2, 1]),
        ("not isRead", [3, 2, 1]),
        ("isRead eq false and (hasAttachments eq true or importance eq 'high')", [2, 1]),
        ("importance in ('high', 'low')", [1]),
        ("categories/any(c:c eq 'Red')", [0]),
        ("categories/any(c:c eq 'O''Neil' or c eq 'Blue')", [3, 0]),
        ("categories/any()", [3, 0]),
        ("categories/all(c:startswith(c,'B'))", [3, 2, 1]),
        ("from/emailAddress/address eq 'ADA@x.test'", [2, 0]),
        ("receivedDateTime ge 2026-09-22T14:13:20Z and subject ne 'invoice 2'", [2, 1]),
        ("receivedDateTime lt 2026-09-22T14:13:20Z or subject eq 'invoice 2'", [3, 0]),
        ("flag/flagStatus eq 'notFlagged' and inferenceClassification eq 'focused'", [3, 2, 1, 0]),
    ],
)
async def test_a_filter_finds_what_it_says(shelf, condition, found):
    page = await shelf.get("/me/messages", params={"$filter": condition, "$select": "subject", "$count": "true"})
    subjects = ["Invoice and more", "It's O'Neil's offer", "Report (final)", "invoice 2"]
    assert [subjects[at] for at in found] == [one["subject"] for one in page["value"]]
    assert len(found) == page["@odata.count"]


@pytest.mark.parametrize(
    "condition",
    ["subject eq", "isRead eq 'true'", "subject eq 7", "(isRead eq true", "subject eq 'x' and", "receivedDateTime ge x",
     "toRecipients/any(r:r/emailAddress/address eq 'x')"],
)  # fmt: skip
async def test_a_filter_that_graph_refuses_is_refused(shelf, condition):
    error = await shelf.get("/me/messages", 400, params={"$filter": condition})
    assert "ErrorInvalidUrlQueryFilter" == error["error"]["code"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('"needle"', 1),
        ('"from:ada"', 2),
        ('"from:ada subject:report"', 1),
        ('"from:ada OR from:cid"', 3),
        ('"NOT from:ada"', 2),
        ('"subject:\\"and more\\""', 1),
        ('"hasattachments:true"', 1),
    ],
)
async def test_a_search_finds_what_it_says(shelf, text, found):
    assert found == len((await shelf.get("/me/messages", params={"$search": text}))["value"])


async def test_a_search_goes_with_no_filter_and_no_order(shelf):
    for other in ({"$filter": "isRead eq true"}, {"$orderby": "receivedDateTime desc"}):
        await shelf.get("/me/messages", 400, params={"$search": '"x"', **other})


async def test_a_search_ends_after_a_thousand_messages(graph, control):
    await control.load_old(graph.account, 1100)
    found, link = 0, "/me/messages?$search=%22hasattachments:true OR hasattachments:false%22&$select=id&$top=400"
    while link:
        page = await graph.get(link)
        found, link = found + len(page["value"]), page.get("@odata.nextLink", "")
    assert 1000 == found


async def test_skip_passes_over_matching_messages_once(shelf):
    query = {"$filter": "not isRead", "$skip": "1", "$top": "1", "$select": "subject", "$count": "true"}
    page = await shelf.get("/me/messages", params=query)
    following = await shelf.get(page["@odata.nextLink"])
    assert (["Report (final)"], ["It's O'Neil's offer"]) == tuple(
        [one["subject"] for one in part["value"]] for part in (page, following)
    )
    assert (3, 3) == (page["@odata.count"], following["@odata.count"])


async def test_folders_take_select_filter_and_the_option_for_hidden_ones(graph):
    query = {"$filter": "displayName eq 'Inbox'", "$select": "displayName", "includeHiddenFolders": "true"}
    page = await graph.get("/me/mailFolders", params={**query, "$count": "true"})
    assert ([{"id", "displayName"}], 1) == ([set(one) for one in page["value"]], page["@odata.count"])
    await graph.get("/me/mailFolders?includeHiddenFolders=perhaps", 400)
