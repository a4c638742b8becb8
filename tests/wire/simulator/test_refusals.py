"""A request for something that the simulator does not know is refused by name, never answered with 200."""

import pytest


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("GET", "/me/events", None, "GET /graph/v1.0/users/me/events"),
        ("PUT", "/me/messages", None, "PUT /graph/v1.0/users/me/messages"),
        ("GET", "/me/messages?$apply=x", None, "$apply"),
        ("GET", "/me/messages?$select=subject,mentions", None, "mentions"),
        ("GET", "/me/messages?$expand=extensions", None, "extensions"),
        ("GET", "/me/messages?$filter=tolower(subject) eq 'x'", None, "tolower"),
        ("GET", "/me/messages?$filter=isDeliveryReceiptRequested eq true", None, "isDeliveryReceiptRequested"),
        ("GET", "/me/messages?$orderby=subject", None, "subject"),
        ("GET", '/me/messages?$search="kind:im"', None, "kind"),
        ("GET", "/me?$expand=manager", None, "$expand"),
        ("GET", "/me/mailFolders?$orderby=displayName", None, "$orderby"),
        ("GET", "/me/mailFolders/inbox/messages/delta?$expand=attachments", None, "$expand"),
        ("POST", "/me/messages", {"subject": "x", "unsubscribeData": "y"}, "unsubscribeData"),
        ("POST", "/me/sendMail", {"message": {}, "comment": "x"}, "comment"),
        ("POST", "/me/mailFolders", {"displayName": "x", "isHidden": True}, "isHidden"),
        ("POST", "/subscriptions", {"notificationQueryOptions": "x"}, "notificationQueryOptions"),
    ],
)
async def test_graph_names_what_the_simulator_does_not_know(graph, method, path, body, named):
    answer = await graph.call(method, path, json=body)
    error = answer.json()["error"]
    assert (501, "notImplemented", True) == (answer.status_code, error["code"], named in error["message"])


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("GET", "/settings/filters", None, "/settings/filters"),
        ("GET", "/messages?labels=INBOX", None, "labels"),
        ("GET", "/messages?q=AROUND:x", None, "AROUND"),
        ("GET", "/messages?q=has:youtube", None, "has:youtube"),
        ("GET", "/messages?q=is:muted", None, "is:muted"),
        ("GET", "/history?startHistoryId=1&historyType=x", None, "historyType"),
        ("GET", "/profile?alt=media", None, "alt=media"),
        ("POST", "/messages/send", {"raw": "eA", "payload": {}}, "payload"),
        ("POST", "/labels", {"name": "x", "icon": "y"}, "icon"),
        ("POST", "/watch", {"topicName": "x", "filter": "y"}, "filter"),
    ],
)
async def test_google_names_what_the_simulator_does_not_know(gmail, method, path, body, named):
    answer = await gmail.call(method, path, json=body)
    error = answer.json()["error"]
    assert (501, "UNIMPLEMENTED", True) == (answer.status_code, error["status"], named in error["message"])


async def test_a_request_in_a_batch_is_refused_alone(graph):
    requests = [{"id": "1", "method": "GET", "url": "/me?$apply=x"}, {"id": "2", "method": "GET", "url": "/me"}]
    answer = (await graph.call("POST", "/$batch", json={"requests": requests})).json()["responses"]
    assert {"1": 501, "2": 200} == {one["id"]: one["status"] for one in answer}
