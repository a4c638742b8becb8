"""A fault names its cause, and a shortage of this machine is never the receiver's."""

import errno
import socket
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest

from services.egress.faults import SENTENCES, EgressError, Fault, fault_of

KEY = cast("Any", SimpleNamespace(host="receiver.example", port=443, ssl=True, is_ssl=True))


@pytest.mark.parametrize(
    ("inner", "fault"),
    [
        (OSError(errno.EMFILE, "too many open files"), Fault.MACHINE_BUSY),
        (OSError(errno.ENOBUFS, "no buffer space"), Fault.MACHINE_BUSY),
        (OSError(errno.EADDRNOTAVAIL, "no port"), Fault.MACHINE_BUSY),
        (OSError(errno.ECONNREFUSED, "refused"), Fault.UNREACHABLE),
        (OSError(errno.EHOSTUNREACH, "no route"), Fault.UNREACHABLE),
    ],
)
def test_a_connection_that_was_not_made_has_the_fault_of_its_cause(inner: OSError, fault: Fault) -> None:
    assert fault is fault_of(aiohttp.ClientConnectorError(KEY, inner))


def test_a_name_server_that_fails_is_told_apart_from_a_host_that_fails() -> None:
    inner = socket.gaierror(socket.EAI_AGAIN, "try again")

    assert Fault.NAME_UNRESOLVED is fault_of(aiohttp.ClientConnectorDNSError(KEY, inner))


@pytest.mark.parametrize("fault", Fault)
def test_each_fault_has_a_sentence(fault: Fault) -> None:
    assert SENTENCES[fault] == EgressError(fault).message
    assert SENTENCES[fault].endswith(".")
