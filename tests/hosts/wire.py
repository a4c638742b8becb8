"""Hosts as network namespaces, joined by a wire of our own: it delays packets, loses some, and can be cut.

Each host has one TUN device, whose other end is read here. The kernel's `netem` would do the same, and many kernels are
built without it.
"""

import contextlib
import ctypes
import fcntl
import heapq
import os
import random
import selectors
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

TUN = "/dev/net/tun"
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
# The largest packet of the device, bytes, and the largest number of packets that are under way.
PACKET_BYTES = 65_536
MAX_UNDER_WAY = 20_000
NETWORK = "10.77.0"
CLONE_NEWNS, CLONE_NEWNET = 0x0002_0000, 0x4000_0000
_DESTINATION = slice(16, 20)


class NoHostsError(Exception):
    """Hosts cannot be made on this machine; the message says why."""


@dataclass(eq=False)
class Host:
    """One host: a network namespace with an address.

    Attributes:
        name: Its name, which leads to its address on all hosts.
        address: IPv4.
        namespace: Path of its network namespace.
        is_cut: Whether every packet from it and to it is lost.
    """

    name: str
    address: str
    namespace: Path
    device: int
    is_cut: bool = False

    def command(self, *command: str) -> tuple[str, ...]:
        """Return a command that runs another one on this host."""
        return ("nsenter", f"--net={self.namespace}", "--", *command)

    def run(self, *command: str) -> None:
        """Run a command on this host to its end.

        Raises:
            NoHostsError: It failed; with its words.
        """
        _do(*self.command(*command))


@dataclass
class Wire:
    """Joins hosts.

    Attributes:
        delay_seconds: How long a packet takes; it varies by half of this.
        loss: The share of packets that are lost, 0 to 1.
        carried: Packets by outcome: delivered, lost, cut, full.
    """

    delay_seconds: float
    loss: float
    chance: random.Random
    hosts: dict[str, Host] = field(default_factory=dict)
    carried: Counter[str] = field(default_factory=Counter)
    _routes: dict[bytes, Host] = field(default_factory=dict)
    _under_way: list[tuple[float, int, Host, bytes]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def add(self, name: str, number: int, namespace: Path) -> Host:
        """Add a host.

        Args:
            name: Its name.
            number: The last part of its address.
            namespace: Its network namespace.
        """
        device = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
        own_name = f"wire{number}"
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", own_name.encode(), IFF_TUN | IFF_NO_PI))
        host = self.hosts[name] = Host(name, f"{NETWORK}.{number}", namespace, device)
        _do("ip", "link", "set", own_name, "netns", str(namespace), "name", "eth0")
        host.run("ip", "link", "set", "lo", "up")
        host.run("ip", "address", "add", f"{host.address}/32", "dev", "eth0")
        host.run("ip", "link", "set", "eth0", "up")
        host.run("ip", "route", "add", f"{NETWORK}.0/24", "dev", "eth0", "src", host.address)
        self._routes[socket.inet_aton(host.address)] = host
        return host

    def lead(self, address: str, host: Host) -> None:
        """Lead an address to a host, which answers under it from now on; the host before may be dead."""
        host.run("ip", "address", "replace", f"{address}/32", "dev", "eth0")
        self._routes[socket.inet_aton(address)] = host

    @contextlib.contextmanager
    def carrying(self):
        """Carry packets during the block."""
        thread = threading.Thread(target=self._carry, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(10.0)
            for host in self.hosts.values():
                os.close(host.device)

    def _carry(self) -> None:
        with selectors.DefaultSelector() as ready:
            for host in self.hosts.values():
                ready.register(host.device, selectors.EVENT_READ, host)
            number = 0
            while not self._stop.is_set():
                for key, _ in ready.select(self._until_next()):
                    number = self._take(key.data, number)
                self._give()

    def _until_next(self) -> float:
        return max(0.0, min(0.2, self._under_way[0][0] - time.monotonic())) if self._under_way else 0.2

    def _take(self, source: Host, number: int) -> int:
        for _ in range(64):
            try:
                packet = os.read(source.device, PACKET_BYTES)
            except BlockingIOError:
                break
            target = self._routes.get(packet[_DESTINATION]) if packet[0] >> 4 == 4 else None
            if outcome := self._lost(source, target):
                self.carried[outcome] += 1
                continue
            number += 1
            arrives = time.monotonic() + self.delay_seconds * self.chance.uniform(0.75, 1.25)
            heapq.heappush(self._under_way, (arrives, number, target, packet))
        return number

    def _lost(self, source: Host, target: Host | None) -> str:
        if target is None or source.is_cut or target.is_cut:
            return "cut"
        if len(self._under_way) >= MAX_UNDER_WAY:
            return "full"
        return "lost" if self.chance.random() < self.loss else ""

    def _give(self) -> None:
        now = time.monotonic()
        while self._under_way and self._under_way[0][0] <= now:
            _, _, target, packet = heapq.heappop(self._under_way)
            if target.is_cut:
                self.carried["cut"] += 1
                continue
            try:
                os.write(target.device, packet)
            except BlockingIOError:
                self.carried["full"] += 1
                continue
            self.carried["delivered"] += 1


def leave_this_host() -> None:
    """Give this process a network and a view of files of its own; they vanish with it and its children.

    Raises:
        NoHostsError: The kernel or our rights do not allow it; with the reason.
    """
    if not os.access(TUN, os.R_OK | os.W_OK):
        raise NoHostsError(f"{TUN} cannot be opened")
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(CLONE_NEWNET | CLONE_NEWNS) != 0:
        raise NoHostsError(f"no network namespace can be made: {os.strerror(ctypes.get_errno())}")
    _do("mount", "--make-rprivate", "/")


@contextlib.contextmanager
def namespace():
    """Make a network namespace for a host, and yield its path; it lives as long as the block."""
    keeper = subprocess.Popen(
        ("unshare", "--net", sys.executable, "-I", "-S", "-c", "import sys; print(flush=True); sys.stdin.read()"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert keeper.stdout is not None
        keeper.stdout.readline()
        yield Path(f"/proc/{keeper.pid}/ns/net")
    finally:
        keeper.communicate()


@contextlib.contextmanager
def named_hosts(names: dict[str, list[str]], folder: Path):
    """Make names lead to addresses during the block, for this process and its children alone.

    Args:
        names: Addresses by name.
        folder: A private folder for the file.
    """
    file = folder / "hosts"
    lines = [f"{address} {name}" for name, addresses in names.items() for address in addresses]
    file.write_text("\n".join(("127.0.0.1 localhost", *lines, "")))
    file.chmod(0o644)
    _do("mount", "--bind", str(file), "/etc/hosts")
    try:
        yield
    finally:
        _do("umount", "/etc/hosts")


def _do(*command: str) -> None:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise NoHostsError(f"{command[0]}: {fault}") from fault
    if done.returncode != 0:
        raise NoHostsError(f"{' '.join(command)}: {done.stderr.strip()}")
