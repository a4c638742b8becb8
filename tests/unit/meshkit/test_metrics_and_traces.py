"""Metrics are read over HTTP on this machine; traces go on across calls and rows."""

import http.client
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import psutil
import pytest
from opentelemetry import trace

from services.meshkit import metrics_server, tracing
from services.meshkit.metrics import WAKE_UPS, serve_metrics
from tests.programs.descriptors import without_descriptors

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def asked(port: int, host: str, origin: str | None = None) -> tuple[int, str]:
    """Read the metrics under a name of the host, as a page of an origin if there is one; return status and text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest("GET", "/metrics", skip_host=True)
    connection.putheader("Host", host)
    if origin is not None:
        connection.putheader("Origin", origin)
    connection.endheaders()
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_metrics_are_read_over_http():
    WAKE_UPS.labels("metrics-test", "sent").inc()
    with serve_metrics("127.0.0.1:0") as port:
        url = f"http://127.0.0.1:{port}/metrics"
        with urllib.request.urlopen(url, timeout=30) as answer:
            text = answer.read().decode()

    assert 'mailmesh_wake_ups_total{outcome="sent",queue="metrics-test"} 1.0' in text


def test_silent_connections_keep_no_metrics_from_being_read(monkeypatch):
    monkeypatch.setattr(metrics_server._QuietHandler, "head_seconds", 0.2)
    with ExitStack() as strangers, serve_metrics("127.0.0.1:0") as port:
        silent = [strangers.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(40)]
        for stranger in silent:
            stranger.settimeout(30)
            with suppress(ConnectionResetError):
                assert b"" == stranger.recv(1)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            assert 200 == answer.status


def test_connections_that_drip_their_request_keep_no_metrics_from_being_read(monkeypatch):
    monkeypatch.setattr(metrics_server._QuietHandler, "head_seconds", 1.0)
    cut: list[bool] = []

    def drip(connection: socket.socket) -> None:
        with suppress(OSError):
            connection.sendall(b"GET /metrics HTTP/1.1\r\n")
            for _ in range(600):  # a minute, in which no pause reaches the deadline
                connection.sendall(b"x: y\r\n")
                time.sleep(0.1)
            return
        cut.append(True)

    with serve_metrics("127.0.0.1:0") as port, ExitStack() as opened, ThreadPoolExecutor(16) as threads:
        connections = [opened.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(16)]
        for connection in connections:
            threads.submit(drip, connection)
        threads.shutdown(wait=True)
        status, _ = asked(port, f"127.0.0.1:{port}")

    assert (16, 200) == (len(cut), status)


def test_metrics_are_read_again_when_descriptors_free_up():
    source = "import time\nfrom services.meshkit.metrics import serve_metrics\n"
    source += "with serve_metrics('127.0.0.1:0') as port:\n    print(port, flush=True)\n    time.sleep(600)"
    with subprocess.Popen((sys.executable, "-c", source), stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        port = int(program.stdout.readline())
        with without_descriptors([program.pid]), socket.create_connection(("127.0.0.1", port)) as waiting:
            waiting.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            waiting.settimeout(1)
            with pytest.raises(TimeoutError):
                waiting.recv(1)
            used = sum(psutil.Process(program.pid).cpu_times()[:2])
            with pytest.raises(TimeoutError):
                waiting.recv(1)
            assert sum(psutil.Process(program.pid).cpu_times()[:2]) - used < 0.5, "no busy loop"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            assert 200 == answer.status
        program.kill()


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example:80", "[", "", "10.0.0.1"]
)
def test_a_page_whose_name_resolves_to_loopback_reads_no_metrics(host: str):
    with serve_metrics("127.0.0.1:0") as port:
        status, text = asked(port, host)

    assert 403 == status
    assert "mailmesh" not in text


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:9100", "null", ""])
def test_a_page_that_names_loopback_itself_reads_no_metrics(origin: str):
    with serve_metrics("127.0.0.1:0") as port:
        status, text = asked(port, f"127.0.0.1:{port}", origin)

    assert 403 == status
    assert "mailmesh" not in text


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9100", "[::1]:9100"])
def test_the_names_of_loopback_read_the_metrics(host: str):
    with serve_metrics("127.0.0.1:0") as port:
        status, text = asked(port, host)

    assert 200 == status
    assert "mailmesh_" in text


def test_without_an_address_nothing_is_served():
    with serve_metrics("") as port:
        assert 0 == port


def test_a_stored_trace_is_gone_on_with():
    with tracing.span("work", parent=TRACEPARENT):
        assert TRACEPARENT.split("-")[1] == tracing.trace_id()
        assert TRACEPARENT.split("-")[1] == tracing.traceparent().split("-")[1]


@pytest.mark.parametrize("nonsense", ["", "00-zz-zz-00", "x" * 1000])
def test_nonsense_is_no_parent(nonsense):
    with tracing.span("work", parent=nonsense):
        assert "" == tracing.trace_id()


def test_without_an_endpoint_nothing_is_set_up():
    assert tracing.configure_tracing("ingest", "") is None


def test_a_stored_parent_does_not_hide_behind_a_current_span():
    with trace.use_span(trace.get_current_span(tracing.context_of(TRACEPARENT))), tracing.span("child"):
        assert TRACEPARENT.split("-")[1] == tracing.trace_id()
