"""The gate at the real Envoy: no field is set twice, no name is unknown, no packed body is dropped; by the contract."""

import gzip
import json
from collections.abc import AsyncIterator, Iterator
from itertools import product

import httpx
import pytest
import pytest_asyncio
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor

from gateway.gate import TEXTS, UNPACKED
from stack.certificates import MeshCertificates
from tests.gateway.conftest import Edge, edges, error_of
from tests.gateway.contract_messages import filled, places, wrapped
from tests.gateway.contract_routes import KEY, ROUTES, Route, leaves, names, nested, refused, spellings
from tests.gateway.test_routes import Everything
from tests.programs.envoy import envoys

# All tests here share an edge, whose services live in one event loop.
pytestmark = pytest.mark.asyncio(loop_scope="module")
WEBHOOKS = ("/api/ms365/webhook", "/api/ms365/lifecycle", "/api/googlews/webhook")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(certificates: MeshCertificates, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    """An edge in front of services that answer every RPC."""
    rates = {f"{bucket}_{kind}": 100_000 for bucket in ("api", "content") for kind in ("per_second", "burst")}
    with envoys(tmp_path_factory.mktemp("gate")) as start_envoy:
        async with edges(certificates, start_envoy) as start:
            yield await start(everything=Everything, oauth_per_second=10_000, **rates)


@pytest.fixture
def edge(shared: Edge) -> Edge:
    """The edge of all tests here, which change nothing of it."""
    shared.seen.calls.clear()
    return shared


async def test_no_query_and_no_body_sets_a_variable_of_the_path(edge: Edge) -> None:
    checked = 0
    for route in ROUTES:
        for variable in route.variables:
            for name in spellings(route.request.fields_by_name[variable]):
                for query in (f"{name}=other", f"%{ord(name[0]):02x}{name[1:]}=other", f"{name}", f"&&{name}=other"):
                    await refused(edge, route, name, query=query)
                if ":" not in route.path:
                    await refused(edge, route, name, query=f"{name}=other", suffix="/")
                if route.body == "*":
                    await refused(edge, route, name, body=json.dumps({name: "other"}))
                checked += 1
    assert checked > 20


async def test_no_query_sets_a_field_twice_in_any_spelling(edge: Edge) -> None:
    checked = 0
    for route in ROUTES:
        for path in leaves(route.request):
            if path[0].name in {*route.variables, route.body}:
                continue
            for one, other in product(names(path), repeat=2):
                await refused(edge, route, other, query=f"{one}=1&{other}=2")
                checked += 1
    assert checked > 100


async def test_no_body_sets_a_field_again(edge: Edge) -> None:
    checked = 0
    for route in (route for route in ROUTES if route.body == "*"):
        for path in leaves(route.request):
            if path[0].name in route.variables:
                continue
            for one, other in product(names(path), repeat=2):
                first, last = one.split("."), other.split(".")
                await refused(edge, route, _shown(path, last), query=f"{one}=1", body=json.dumps(nested(last, "2")))
                twice = f"{{{json.dumps(nested(first, '1'))[1:-1]}, {json.dumps(nested(last, '2'))[1:-1]}}}"
                answer = await route.send(edge, body=twice)
                assert (400, 3, "FIELD_INVALID") == (answer.status_code, *error_of(answer)), (route, twice)
                assert [] == edge.seen.calls
                checked += 1
    assert checked > 30


def _shown(path: tuple[FieldDescriptor, ...], spelled: list[str]) -> str:
    """Return the name in a refusal of a body: the field as it was spelled, in messages by their canonical names."""
    return ".".join([*(field.name for field in path[:-1]), spelled[-1]])


async def test_no_query_and_no_body_sets_a_part_of_a_time(edge: Edge) -> None:
    """The transcoder would merge `since.seconds` into `since`: the request would mean another time than it says."""
    checked = 0
    for route in ROUTES:
        for path in leaves(route.request):
            message = path[-1].message_type
            if message is None or message.full_name not in TEXTS:
                continue
            for name, part in product(names(path), (field.name for field in message.fields)):
                await refused(edge, route, f"{name}.{part}", query=f"{name}.{part}=1")
                if route.body == "*":
                    whole = name.split(".")
                    await refused(
                        edge, route, f"{_canonical(path)}.{part}", body=json.dumps(nested([*whole, part], "1"))
                    )
                checked += 1
    assert checked > 30


def _canonical(path: tuple[FieldDescriptor, ...]) -> str:
    return ".".join(field.name for field in path)


async def test_a_webhooks_query_does_not_fill_its_body(edge: Edge) -> None:
    for route in (route for route in ROUTES if route.body not in {"", "*"}):
        await refused(edge, route, f"{route.body}.data", query=f"{route.body}.data=AAAA")


async def test_a_name_that_the_rpc_does_not_have_is_refused_at_every_depth(edge: Edge) -> None:
    checked = 0
    for route in ROUTES:
        if not route.is_strict:
            assert 200 == (await route.send(edge, "someday=1")).status_code
            continue
        await refused(edge, route, "someday", query="someday=1")
        if route.body == "*":
            for path in places(route.request):
                body = json.dumps(wrapped(path, {"someday": 1}))
                await refused(edge, route, ".".join([*(_indexed(field) for field in path), "someday"]), body=body)
                checked += 1
    assert checked > 12


def _indexed(field: FieldDescriptor) -> str:
    return f"{field.name}[0]" if field.is_repeated else field.name


async def test_every_field_of_the_contract_passes_in_both_spellings(edge: Edge) -> None:
    for route in (route for route in ROUTES if route.body == "*"):
        message = filled(message_factory.GetMessageClass(route.request)())
        for variable in route.variables:
            message.ClearField(variable)
        for is_snake in (True, False):
            body = json_format.MessageToJson(message, preserving_proto_field_name=is_snake)
            answer = await route.send(edge, body=body)
            assert 200 == answer.status_code, (route, body, answer.text)
            for variable in route.variables:
                setattr(message, variable, "ms365")
            assert message == edge.seen.last[1]
            for variable in route.variables:
                message.ClearField(variable)


async def test_a_body_that_readers_could_read_differently_is_refused(edge: Edge) -> None:
    route = next(route for route in ROUTES if route.template == "/v1/events:replay")
    for body in (
        *("{'filter': {}}", "{filter: {}}", '{"filter": {},}', "{} {}", '{"filter": {}} x', "[{}]", "{", '{"a"'),
        *('{"filter" {}}', '{"filter": }', '{"filter": nul}', '{"filter": {"tenantIds": ["a" "b"]}}', "\ufeff{}"),
        *('{"\\u0066ilter": {}}', '{"filter": ' + "[" * 5000 + "]" * 5000 + "}"),
        '{"filter": {"tenantIds": [' + '"",' * 40_000 + '""]}}',
    ):
        answer = await route.send(edge, body=body)
        assert (400, 3, "FIELD_INVALID") == (answer.status_code, *error_of(answer)), body[:100]
        assert [] == edge.seen.calls, body[:100]


NO_TEXT = ("%00", "a%00b", "%ff", "%c0%80", "%ed%a0%80", "%f4%90%80%80", "%e2%82", "%C3")


async def test_no_path_and_no_query_has_text_that_no_service_can_hold(edge: Edge) -> None:
    for route, text in product(ROUTES, NO_TEXT):
        await refused(edge, route, "someday", query=f"someday={text}")
        for name in route.variables[:1]:
            odd = Route(route.verb, route.template.replace(f"{{{name}}}", text), route.body, route.request)
            answer = await odd.send(edge)
            assert (400, []) == (answer.status_code, edge.seen.calls), odd.path
    route = next(route for route in ROUTES if route.path.endswith("/authorize"))
    assert (
        200 == (await route.send(edge, "ticket=%C3%A9%E2%82%AC%F0%9F%98%80%ED%9F%BF%EE%80%80%F4%8F%BF%BF")).status_code
    )


VERBS = ("raw", "test", "count", "noSuchVerb", "raw:test", "")


def strange(route: Route) -> Iterator[str]:
    """Yield paths beside those of a route: with empty parts, with verbs that it does not have, with more slashes."""
    for name in route.variables:
        before, after = route.template.split(f"{{{name}}}")
        empty = Route(route.verb, f"{before}{after}", route.body, route.request)
        yield empty.path
    for verb in VERBS:
        yield f"{route.path}:{verb}"
        yield f"{route.path}/:{verb}"
    yield from (f"{route.path}/", f"{route.path}//", f"/{route.path}", route.path.replace("/", "//"))


async def test_each_path_beside_the_contract_is_refused_in_the_edges_words_or_is_a_value(edge: Edge) -> None:
    """The transcoder reads a verb behind the last colon, and knows no route with an empty variable."""
    refusals = 0
    for route in ROUTES:
        for path in strange(route):
            edge.seen.calls.clear()
            answer = await edge.client.request(route.verb, path, content="{}" if route.body else None, headers=KEY)
            if answer.status_code == 404:
                assert (5, "ROUTE_NOT_FOUND") == error_of(answer), (route.verb, path)
                assert [] == edge.seen.calls, path
                refusals += 1
            else:
                assert answer.status_code in (200, 204, 302), (route.verb, path, answer.status_code, answer.text)
    assert refusals > 500


async def test_a_packed_body_reaches_ingest_as_it_is_or_is_refused(edge: Edge) -> None:
    packed = gzip.compress(b'{"value": []}')
    for path, encoding in product(WEBHOOKS, UNPACKED):
        answer = await edge.client.post(path, content=packed, headers={"content-encoding": encoding})
        assert (200, packed) == (answer.status_code, edge.seen.last[1].payload.data)
        assert encoding == edge.seen.last[2]["content-encoding"]
    edge.seen.calls.clear()
    refusals = [*product(WEBHOOKS, ("br", "zstd", "gzip, gzip", "x-own")), ("/v1/events:replay", "gzip")]
    for path, encoding in refusals:
        answer = await edge.client.post(path, content=packed, headers=KEY | {"content-encoding": encoding})
        assert (415, 3, "FIELD_INVALID") == (answer.status_code, *error_of(answer)), (path, encoding)
    assert [] == edge.seen.calls


HEAVY = {
    "escapes in a text": ("", '{"requestId": "' + r"\"" * 400_000 + '"}'),
    "a name of dots": ("", '{"requestId": {"' + "." * 800_000 + '": 1}}'),
    "an unknown name of dots": ("", '{"' + "." * 800_000 + '": 1}'),
    "a parameter of dots": ("page_size" + "." * 60_000 + "=1", "{}"),
    "many long names": ("", '{"requestId": {' + ",".join(f'"{"x." * 45}{n}": 1' for n in range(9_000)) + "}}"),
}


@pytest.mark.parametrize(("query", "body"), HEAVY.values(), ids=HEAVY)
async def test_the_gate_takes_time_with_the_size_of_a_request_and_not_with_its_square(
    edge: Edge, query: str, body: str
) -> None:
    """Each would take minutes if a step ran through the rest of the text again; the client gives up before."""
    answer = await edge.client.post(f"/v1/events:replay?{query}", content=body, headers=KEY, timeout=15)

    assert answer.status_code in (200, 400)


async def test_a_parameter_without_a_value_is_refused(edge: Edge) -> None:
    """The transcoder passes over it: the dry run would be none."""
    answer = await edge.client.post("/v1/events:replay?dry_run", content='{"fromCursor": "earliest"}', headers=KEY)

    assert (400, (3, "FIELD_INVALID")) == (answer.status_code, error_of(answer))


async def test_a_null_in_a_list_of_the_contract_is_refused(edge: Edge) -> None:
    """The transcoder leaves it out: of two ids one would be acted on, silently."""
    checked = 0
    for route in ROUTES:
        for field in route.request.fields if route.body == "*" else ():
            is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
            if field.is_repeated and not is_map and field.name not in route.variables:
                await refused(edge, route, f"{field.name}[0]", body=json.dumps({field.json_name: [None]}))
                checked += 1
    assert checked > 10


@pytest.mark.parametrize("body", ['{"pageSize": 3}', '{"typo": 1}'])
async def test_a_body_of_a_route_without_one_is_checked_like_any_other(edge: Edge, body: str) -> None:
    answer = await edge.client.request("GET", "/v1/events?pageSize=2", content=body, headers=KEY)

    assert (400, (3, "FIELD_INVALID")) == (answer.status_code, error_of(answer))


@pytest.mark.parametrize(
    ("method", "path", "pair", "most"),
    [
        ("GET", "/v1/events", "filter.tenantIds=a", 1500),
        ("POST", "/api/ms365/webhook", "a", 100),
        ("GET", "/auth/oauth/ms365/callback", "a=1", 100),
    ],
)
async def test_a_query_of_more_parameters_than_any_rpc_has_is_refused(
    edge: Edge, method: str, path: str, pair: str, most: int
) -> None:
    """Each parameter costs time of the edge, before any key is checked, and a query may have 40,000."""

    async def send(count: int) -> httpx.Response:
        edge.seen.calls.clear()
        query = "&".join([pair] * count)
        return await edge.client.request(method, f"{path}?{query}", content=b"", headers=KEY)

    taken, too_many = await send(most), await send(most + 1)
    empty = await edge.client.request(method, f"{path}?{'&' * 40_000}", content=b"", headers=KEY)

    assert 400 != taken.status_code
    assert [400, 400] == [too_many.status_code, empty.status_code]
    assert [] == [call for call in edge.seen.calls if call[0] != "Check"]


NOT_UTF8 = (
    *("%C3", "%A9", "%C0%80", "%C1%BF", "%E0%80%80", "%E2%82%C3%A9", "%ED%A0%80", "%F0%80%80%80", "%F4%90%80%80"),
    *("%F8%88%80%80%80", "%FF", "a%00b", "%C3%A9%A9", "%E2%C3%A9%82%AC"),
)


@pytest.mark.parametrize(
    ("text", "is_text"),
    [
        ("%C3%A9%E2%82%AC%F0%9F%98%80%ED%9F%BF%EE%80%80%F4%8F%BF%BFz", True),
        ("%C3%A9" * 10_000, True),
        ("%C3%A9" * 10_000 + "%A9", False),
        *((text, False) for text in NOT_UTF8),
    ],
)
async def test_the_gate_knows_utf8(edge: Edge, text: str, *, is_text: bool) -> None:
    answer = await edge.client.get(f"/v1/events?cursor={text}", headers=KEY)

    assert is_text == ("UTF-8" not in answer.text)
