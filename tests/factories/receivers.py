"""Receivers of webhooks on real sockets, with certificates of an authority of their own, and name servers that lie."""

import asyncio
import datetime as dt
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = dt.timedelta(days=1)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
Behaviour = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.path = folder / "authority.pem"
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receivers' authority")])
        certificate = self._sign(self._name, self._key.public_key(), [], dt.timedelta(), is_authority=True)
        self.path.write_bytes(certificate)

    def issue(self, *names: str, ended: dt.timedelta = dt.timedelta()) -> tuple[str, str]:
        """Return a certificate for names and addresses with its key, PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        certificate = self._sign(subject, key.public_key(), [_name(name) for name in names], ended)
        return certificate.decode(), _pem(key)

    def server(self, *names: str, ended: dt.timedelta = dt.timedelta(), asks: bool = False) -> ssl.SSLContext:
        """Return the context of a server, which may demand a client certificate of this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        file = self._folder / f"{names[0].replace('*', '_')}-{ended.days}.pem"
        file.write_text("\n".join(self.issue(*names, ended=ended)))
        context.load_cert_chain(file)
        if asks:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.path)
        return context

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        names: Sequence[x509.GeneralName],
        ended: dt.timedelta,
        *,
        is_authority: bool = False,
    ) -> bytes:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * DAY - ended)
            .not_valid_after(now + DAY - ended)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def self_signed(name: str) -> tuple[str, str]:
    """Return a certificate that has signed itself, with its key, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode(), _pem(key)


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, none).decode()


@dataclass
class Receiver:
    """The port of a receiver, and everything that it has seen."""

    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    peers: list[Any] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    def header(self, name: str, request: int = -1) -> list[str]:
        """Return the values of a header of a request."""
        head = self.requests[request].partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        pairs = (line.partition(":") for line in head)
        return [value.strip() for found, _, value in pairs if found.lower() == name]


def answering(*answers: bytes) -> Behaviour:
    """Return a behaviour that gives one answer a request; the last one for all later requests."""
    left = list(answers)

    async def behave(_request: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        await writer.drain()

    return behave


@asynccontextmanager
async def receiver(
    tls: ssl.SSLContext | None, behave: Behaviour, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Receiver]:
    """Run a receiver; it reads each request whole and then behaves."""
    seen = Receiver()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        seen.peers.append(writer.get_extra_info("peercert"))
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next((int(v) for n, _, v in _pairs(head) if n.lower() == b"content-length"), 0)
                request = head + await reader.readexactly(length)
                seen.requests.append(request)
                await behave(request, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass  # The sender has gone.
        finally:
            writer.close()
            seen.left.set()

    server = await asyncio.start_server(serve, host, port, ssl=tls)
    try:
        seen.port = server.sockets[0].getsockname()[1]
        yield seen
    finally:
        server.close()


def _pairs(head: bytes) -> list[tuple[bytes, bytes, bytes]]:
    return [line.partition(b":") for line in head.split(b"\r\n")[1:] if line]


class Names(AbstractResolver):
    """A name server that gives each question the next of its answers; the last one for all later questions."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self._answers = {name.replace("_", "."): given for name, given in answers.items()}
        self.questions: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.questions.append(host)
        given = self._answers.get(host)
        if given is None:
            raise socket.gaierror(socket.EAI_NONAME, "unknown name")
        return [self.result(host, address, port) for address in (given.pop(0) if len(given) > 1 else given[0])]

    def result(self, host: str, address: str, port: int) -> ResolveResult:
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=0)

    async def close(self) -> None:
        pass


class TwoFacedNames(Names):
    """A name server whose answer is `first` to the one who checks it and `second` to the one who connects."""

    def __init__(self, name: str, first: str, second: str) -> None:
        super().__init__(**{name.replace(".", "_"): [[first]]})
        self._second = second

    def result(self, host: str, address: str, port: int) -> ResolveResult:
        return TwoFaced(super().result(host, address, port), self._second)  # type: ignore[return-value]


class TwoFaced(dict[str, Any]):
    """A resolver's answer whose host changes after the first reading."""

    def __init__(self, first: ResolveResult, second: str) -> None:
        super().__init__(first)
        self._second = second

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        if key == "host":
            self[key] = self._second
        return value
