"""Ports of the loopback interface."""

import atexit
import socket
from collections import deque

LOOPBACK = "127.0.0.1"
_MOST_KEPT = 256
_kept: deque[socket.socket] = deque()
"""Sockets that keep the system from giving our newest free ports to other programs.

They are bound and do not listen, so the program that the port is for can bind and listen beside them, as every server
does that sets SO_REUSEADDR.
"""


def free_port() -> int:
    """Returns a loopback TCP port without a listener.

    The system gives it to no other program that asks for any port, as long as this process lives and has not asked for
    a few hundred more. A program that asks for this very port may still take it: the caller must be ready for that.
    """
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Returns several different free loopback TCP ports, as `free_port` does."""
    return [_kept_port(0) for _ in range(count)]


def hold(port: int) -> bool:
    """Says whether a program could listen on the loopback port, and keeps it for that program as `free_port` does."""
    try:
        _kept_port(port)
    except OSError:
        return False
    return True


def accepts(port: int, timeout_seconds: float = 0.5) -> bool:
    """Says whether something accepts connections on the loopback port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout_seconds):
            return True
    except OSError:
        return False


def _kept_port(port: int) -> int:
    """Binds and keeps a port, 0 for any free one; raises `OSError` where a program could not listen on it."""
    keeper = socket.socket()
    # Listeners set it too: connections of an earlier run that linger in TIME_WAIT do not count.
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        keeper.bind((LOOPBACK, port))
    except OSError:
        keeper.close()
        raise
    _kept.append(keeper)
    while len(_kept) > _MOST_KEPT:
        _kept.popleft().close()
    bound: int = keeper.getsockname()[1]
    return bound


def _let_go() -> None:
    while _kept:
        _kept.pop().close()


atexit.register(_let_go)
