"""The ports of a run."""

import json
import socket
from pathlib import Path

import pytest

from stack.addresses import EDGE, choose_ports
from stack.errors import PortInUseError
from stack.ports import LOOPBACK, accepts, free_port


def test_ports_stay_the_same_from_run_to_run(tmp_path: Path) -> None:
    first = choose_ports(["redis"], 0, tmp_path / "ports.json")
    second = choose_ports(["redis"], 0, tmp_path / "ports.json")

    assert first == second


def test_the_ports_of_the_last_run_are_kept_for_its_programs(tmp_path: Path) -> None:
    remembered = tmp_path / "ports.json"
    with socket.socket() as one, socket.socket() as other:
        for asking in (one, other):
            asking.bind((LOOPBACK, 0))
        last = {"primitives": one.getsockname()[1], EDGE: other.getsockname()[1]}
    remembered.write_text(json.dumps(last))

    chosen = choose_ports(["primitives"], 0, remembered)

    assert last == chosen.numbers
    for port in last.values():
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind((LOOPBACK, port))
        with socket.create_server((LOOPBACK, port)):
            pass


def test_a_port_that_was_taken_meanwhile_is_replaced(tmp_path: Path) -> None:
    first = choose_ports(["redis"], 0, tmp_path / "ports.json")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", first["redis"]))
        other.listen()
        second = choose_ports(["redis"], 0, tmp_path / "ports.json")

    assert second["redis"] != first["redis"]
    assert second[EDGE] == first[EDGE]


def test_a_port_in_use_that_was_asked_for_is_told(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {taken} is in use"):
            choose_ports([], taken, tmp_path / "ports.json")


def test_a_port_that_was_given_out_is_left_to_the_program_that_it_is_for() -> None:
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    assert not accepts(port)
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen()
        assert accepts(port)
