"""No connection leads to an address that is refused, whatever name servers, URLs, answers and the environment say."""

import asyncio
import functools
import ssl
import subprocess
import sys
import threading

import pytest
import uvloop

from services.egress import dialing, resolver
from services.egress.addresses import EgressRules
from services.egress.client import EgressClient
from services.egress.faults import EgressError, Fault
from services.egress.resolver import ThreadedLookup
from tests.factories.receivers import OK, Authority, Names, TwoFacedNames, answering, receiver
from tests.unit.egress.test_addresses import REFUSED
from tests.wire.egress.conftest import OpenClient

NAME = "receiver.example"


@pytest.fixture(scope="session")
def tls(authority: Authority) -> ssl.SSLContext:
    return authority.server(NAME, "127.0.0.1", "127.0.0.2")


async def post(client: EgressClient, port: int, *, host: str = NAME, scheme: str = "https") -> int:
    url = f"{scheme}://{host}:{port}/hook"
    answer = await client.post(url, b"{}", {"content-type": "application/json"}, timeout_seconds=20)
    return answer.status


async def refusal(client: EgressClient, port: int, *, host: str = NAME, scheme: str = "https") -> Fault:
    with pytest.raises(EgressError) as refused:
        await post(client, port, host=host, scheme=scheme)
    return refused.value.fault


async def test_a_name_with_an_address_of_any_refused_kind_is_not_dialled(
    open_client: OpenClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = [address for addresses in REFUSED.values() for address in addresses]
    names = Names(**{f"name{number}_example": [[address]] for number, address in enumerate(refused)})
    made: list[object] = []
    monkeypatch.setattr(dialing.socket, "socket", lambda *arguments: made.append(arguments))

    async with open_client(names=names, own=()) as client:
        faults = [await refusal(client, 443, host=f"name{number}.example") for number in range(len(refused))]
    assert ([Fault.ADDRESS_REFUSED] * len(refused), []) == (faults, made)


async def test_a_name_with_one_refused_address_beside_good_ones_is_refused(
    open_client: OpenClient, tls: ssl.SSLContext
) -> None:
    async with receiver(tls, answering(OK)) as seen:
        async with open_client(names=Names(receiver_example=[["127.0.0.1", "127.0.0.2"]])) as client:
            assert Fault.ADDRESS_REFUSED is await refusal(client, seen.port)
        assert seen.connections == 0


async def test_a_name_that_moves_inside_between_two_dials_is_refused(
    open_client: OpenClient, tls: ssl.SSLContext
) -> None:
    names = Names(receiver_example=[["127.0.0.1"], ["127.0.0.2"]])
    closing = answering(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
    async with receiver(tls, closing) as seen, receiver(tls, answering(OK), host="127.0.0.2", port=seen.port) as inside:
        async with open_client(names=names) as client:
            assert 200 == await post(client, seen.port)
            client._session.connector.clear_dns_cache()  # type: ignore[union-attr] # as ten seconds do

            assert Fault.ADDRESS_REFUSED is await refusal(client, seen.port)
        assert (1, 0) == (len(seen.requests), inside.connections)


async def test_an_answer_that_changes_between_check_and_dial_is_refused(
    open_client: OpenClient, tls: ssl.SSLContext
) -> None:
    async with receiver(tls, answering(OK), host="127.0.0.2") as inside:
        async with open_client(names=TwoFacedNames(NAME, "127.0.0.1", "127.0.0.2")) as client:
            assert Fault.ADDRESS_REFUSED is await refusal(client, inside.port)
        assert inside.connections == 0


async def test_a_resolver_that_answers_with_another_name_is_refused(open_client: OpenClient) -> None:
    """The event loop would resolve it once more, past every check."""
    async with open_client(names=TwoFacedNames(NAME, "127.0.0.1", "localhost")) as client:
        assert Fault.ADDRESS_REFUSED is await refusal(client, 443)


async def test_a_connection_to_another_peer_than_allowed_gets_no_byte(open_client: OpenClient) -> None:
    """The last line: even with both earlier checks gone, the peer of the connection is judged."""
    names = TwoFacedNames(NAME, "127.0.0.1", "127.0.0.2")
    async with receiver(None, answering(OK), host="127.0.0.2") as inside:
        async with open_client(names=names) as client:
            unguarded = functools.partial(dialing.dial_socket, EgressRules.read(own=["127.0.0.0/8"]))
            client._session.connector._socket_factory = unguarded  # type: ignore[union-attr]

            assert Fault.ADDRESS_REFUSED is await refusal(client, inside.port, scheme="http")
        async with asyncio.timeout(30):
            await inside.left.wait()
        assert (1, []) == (inside.connections, inside.requests)


def test_the_guard_holds_on_the_event_loop_of_the_services(authority: Authority, tls: ssl.SSLContext) -> None:
    async def attempts() -> tuple[int, Fault, int]:
        names = TwoFacedNames(NAME, "127.0.0.1", "127.0.0.2")
        rules = EgressRules.read(own=["127.0.0.1"])
        async with (
            receiver(tls, answering(OK)) as seen,
            receiver(tls, answering(OK), host="127.0.0.2") as inside,
            EgressClient.open(rules, authority=authority.path, lookup=names) as client,
        ):
            status = await post(client, seen.port, host="127.0.0.1")
            return status, await refusal(client, inside.port), inside.connections

    assert (200, Fault.ADDRESS_REFUSED, 0) == uvloop.run(attempts())


@pytest.mark.parametrize("host", ["127.0.0.2", "127.1", "2130706434", "0x7f.2", "[::ffff:127.0.0.1]", "[::1]"])
async def test_an_address_in_the_url_is_refused(client: EgressClient, host: str) -> None:
    assert Fault.URL_REFUSED is await refusal(client, 443, host=host)


async def test_a_redirect_inside_is_an_answer_and_is_not_followed(client: EgressClient, tls: ssl.SSLContext) -> None:
    async with receiver(None, answering(OK)) as inside:
        where = f"location: http://127.0.0.1:{inside.port}/\r\ncontent-length: 0\r\n\r\n".encode()
        answers = [f"HTTP/1.1 {status} Moved\r\n".encode() + where for status in (301, 302, 303, 307, 308)]
        async with receiver(tls, answering(*answers)) as seen:
            assert [301, 302, 303, 307, 308] == [await post(client, seen.port) for _ in answers]
        assert inside.connections == 0


async def test_plain_http_leads_to_the_operators_own_network_only(
    open_client: OpenClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiver(None, answering(OK)) as seen:
        async with open_client() as client:
            assert 200 == await post(client, seen.port, scheme="http")
        # 127.0.0.1 becomes an address of the internet.
        monkeypatch.setattr("services.egress.addresses.is_public", lambda text: text == "127.0.0.1")
        async with open_client(own=("127.0.0.2",)) as client:
            assert Fault.ADDRESS_REFUSED is await refusal(client, seen.port, scheme="http")
        assert 1 == len(seen.requests)


async def test_proxies_of_the_environment_are_not_used(
    open_client: OpenClient, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiver(None, answering(OK)) as proxy, receiver(tls, answering(OK)) as seen:
        for name in ("http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with open_client() as client:
            assert 200 == await post(client, seen.port)
        assert (0, 1) == (proxy.connections, seen.connections)


async def test_ports_are_the_operators_choice(authority: Authority, tls: ssl.SSLContext) -> None:
    async with receiver(tls, answering(OK)) as seen:
        rules = EgressRules.read(own=["127.0.0.1"], ports=[443])
        async with EgressClient.open(rules, authority=authority.path) as client:
            assert Fault.URL_REFUSED is await refusal(client, seen.port, host="127.0.0.1")
        assert seen.connections == 0


async def test_names_are_looked_up_by_the_system(authority: Authority) -> None:
    async with receiver(authority.server("localhost"), answering(OK)) as seen:
        for own, wanted in ((["127.0.0.0/8", "::1"], 200), ([], Fault.ADDRESS_REFUSED)):
            async with EgressClient.open(EgressRules.read(own=own), authority=authority.path) as client:
                made = post if own else refusal
                assert wanted == await made(client, seen.port, host="localhost")


async def test_a_name_without_address_is_told(client: EgressClient, open_client: OpenClient) -> None:
    assert Fault.NAME_UNRESOLVED is await refusal(client, 443, host="unknown.example")
    async with open_client(names=Names(receiver_example=[[]])) as other:
        assert Fault.NAME_UNRESOLVED is await refusal(other, 443)


async def test_lookups_that_hang_are_bounded_and_no_fault_of_those_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def hang(_host: str, _family: int) -> list[str]:
        answered.wait(60)
        return ["127.0.0.1"]

    monkeypatch.setattr(resolver, "_addresses", hang)
    monkeypatch.setattr(resolver, "LOOKUPS", 1)
    monkeypatch.setattr(resolver, "LOOKUP_SECONDS", 0.05)
    async with EgressClient.open(EgressRules(), lookup=ThreadedLookup()) as client:
        assert Fault.NAME_UNRESOLVED is await refusal(client, 443, host="slow.example")
        assert Fault.MACHINE_BUSY is await refusal(client, 443, host="other.example")
        answered.set()
        monkeypatch.setattr(resolver, "LOOKUP_SECONDS", 60)
        assert Fault.ADDRESS_REFUSED is await refusal(client, 443, host="third.example")


def test_a_lookup_that_hangs_does_not_hold_the_process_at_its_end() -> None:
    program = """
import asyncio, sys, threading
from services.egress import resolver
async def main():
    asyncio.create_task(resolver.ThreadedLookup().resolve("slow.example"))
    await asyncio.sleep(0)
    await asyncio.to_thread(hanging.wait)
hanging = threading.Event()
resolver._addresses = lambda host, family: hanging.set() or threading.Event().wait()
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=False)
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


async def test_no_message_names_an_address(open_client: OpenClient) -> None:
    async with open_client(names=Names(receiver_example=[["10.9.8.7"]])) as client:
        with pytest.raises(EgressError) as refused:
            await post(client, 443)
    assert "10.9.8.7" not in refused.value.message
