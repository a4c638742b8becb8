"""Answers are packed as the providers pack them: for each caller that asks, at Google for one that asks twice."""

import httpx

LONG = "A word. " * 400


def encoding(answer: httpx.Response) -> str:
    assert answer.is_success
    return answer.headers.get("content-encoding", "")


async def test_graph_packs_for_whoever_takes_it(graph, control):
    mail = await control.deliver(graph.account, subject="Long", text=LONG)
    path = f"/me/messages/{mail['id']}"
    plain = await graph.call("GET", path, headers={"accept-encoding": "identity"})
    packed = await graph.call("GET", path, headers={"accept-encoding": "gzip"})

    assert ("", "gzip") == (encoding(plain), encoding(packed))
    assert plain.json() == packed.json()
    assert int(packed.headers["content-length"]) < len(plain.content) / 4


async def test_google_packs_for_whoever_names_it_twice(gmail, control):
    mail = await control.deliver(gmail.account, subject="Long", text=LONG)
    path = f"/messages/{mail['id']}?format=full"
    once = await gmail.call("GET", path, headers={"accept-encoding": "gzip", "user-agent": "program"})
    twice = await gmail.call("GET", path, headers={"accept-encoding": "gzip", "user-agent": "program (gzip)"})

    assert ("", "gzip") == (encoding(once), encoding(twice))
    assert once.json() == twice.json()


async def test_what_is_short_is_not_packed(graph):
    assert "" == encoding(await graph.call("GET", "/me", headers={"accept-encoding": "gzip"}))
