"""Resource data of Graph's notifications: encrypted for the subscription's certificate, proven by validation tokens.

As Microsoft's page "Change notifications with resource data" has it: each item has a key of its own.
"""

import base64
import hmac
import json
import os
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from simulator.faults import DATA_KINDS
from simulator.http import JSON, NotSimulatedError
from simulator.keys import SigningKeys
from simulator.microsoft.errors import graph_error
from simulator.microsoft.registry import Subscription
from simulator.state import World

PUBLISHER = "0bf30f3b-4a52-48df-9a82-234910c4a086"
"""The application of Graph's change tracking."""
_KEY_BYTES = 32
_BLOCK_BITS = 128
_LEAST_BITS, _MOST_BITS = 2048, 4096
_TOKEN_SECONDS = 8 * 3600
_PROOF = "validation"
"""Where an item carries the facts of its token until its POST is composed."""
_SELECTED = frozenset({"id", "changekey"})
"""The properties that resource data can have here."""
_MAX_ID = 128
_FORGER = rsa.generate_private_key(65537, 2048)


def check_query(query: str, *, with_data: bool) -> None:
    """Check the query of a resource: Outlook's resources want a selection with resource data, without the body."""
    if not with_data:
        if query:
            raise NotSimulatedError("filters in subscriptions")
        return
    name, _, selected = query.partition("=")
    names = {one.strip().lower() for one in selected.split(",")}
    if name != "$select" or "&" in query or not names - {""} or names & {"body", "uniquebody"}:
        raise graph_error(400, "InvalidRequest", "A resource with resource data needs a $select without the body.")
    if names - _SELECTED:
        raise NotSimulatedError("other properties of resource data")


def certificate_of(body: JSON) -> tuple[x509.Certificate, str]:
    """Return a request's certificate and its id.

    Raises:
        ApiError: 400, one is missing or invalid.
    """
    name = str(body.get("encryptionCertificateId") or "")
    if not 0 < len(name) <= _MAX_ID:
        raise graph_error(400, "InvalidRequest", "encryptionCertificateId is missing or too long.")
    try:
        return _read(str(body.get("encryptionCertificate") or "")), name
    except ValueError as error:
        raise graph_error(400, "InvalidRequest", f"encryptionCertificate is invalid: {error}") from error


def _read(text: str) -> x509.Certificate:
    certificate = x509.load_der_x509_certificate(base64.b64decode(text, validate=True))
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or not _LEAST_BITS <= key.key_size <= _MOST_BITS:
        raise ValueError("the key must be RSA of 2048 to 4096 bits")
    return certificate


class ResourceData:
    """Adds resource data to items, and their proof to POSTs."""

    def __init__(self, world: World, keys: SigningKeys) -> None:
        self._world = world
        self._keys = keys

    def add(self, subscription: Subscription, item: JSON, resource: JSON) -> JSON:
        """Return a notification with its encrypted resource, if the subscription asks for it."""
        if subscription.certificate is None:
            return item
        kinds: set[str] = {
            fault.kind
            for fault in self._world.faults.strike("notify.graph.data", subscription.account.address, is_push=True)
            if fault.kind in DATA_KINDS
        }
        for kind in kinds:
            self._world.pushes.counts[f"notify.graph.data.{kind}"] += 1
        content = _encrypted(subscription, json.dumps(resource).encode(), kinds)
        return {**item, "encryptedContent": content, _PROOF: self._proof(subscription, kinds)}

    def compose(self, items: Sequence[Any]) -> tuple[bytes, dict[str, str]]:
        """Return a POST's body and headers: one validation token for each app and organisation among its items."""
        proofs = {json.dumps(item[_PROOF], sort_keys=True): item[_PROOF] for item in items if _PROOF in item}
        shown = [{name: value for name, value in item.items() if name != _PROOF} for item in items]
        body: dict[str, Any] = {"value": shown}
        if proofs:
            body["validationTokens"] = [token for proof in proofs.values() if (token := self._token(proof))]
        headers = {
            "content-type": "application/json; charset=utf-8",
            "user-agent": "Microsoft-Graph-ChangeTracking",
        }
        return json.dumps(body, separators=(",", ":")).encode(), headers

    def _proof(self, subscription: Subscription, kinds: set[str]) -> JSON:
        directory = subscription.account.directory
        if "other_organisation" in kinds:
            directory = "00000000-0000-4000-8000-000000000000"
        return {
            "aud": "another-app" if "other_audience" in kinds else subscription.client_id,
            "publisher": "another-publisher" if "other_publisher" in kinds else PUBLISHER,
            "tid": directory,
            "isForged": "forged_token" in kinds,
            "isExpired": "expired_token" in kinds,
            "isMissing": "no_token" in kinds,
        }

    def _token(self, proof: JSON) -> str:
        if proof["isMissing"]:
            return ""
        now = int(self._world.clock.seconds()) - (_TOKEN_SECONDS * 2 if proof["isExpired"] else 0)
        tenant_id, is_second = proof["tid"], self._world.knobs.graph_proof_version == "2.0"
        issuer = (
            f"{self._world.microsoft_url}/{tenant_id}/v2.0" if is_second else f"https://sts.windows.net/{tenant_id}/"
        )
        claims = {
            "aud": proof["aud"],
            "iss": issuer,
            "iat": now,
            "nbf": now,
            "exp": now + _TOKEN_SECONDS,
            "azp" if is_second else "appid": proof["publisher"],
            "sub": proof["publisher"],
            "tid": tenant_id,
            "ver": "2.0" if is_second else "1.0",
        }
        return self._keys.sign(claims, key=_FORGER if proof["isForged"] else None)


def _encrypted(subscription: Subscription, plain: bytes, kinds: set[str]) -> JSON:
    certificate = subscription.certificate
    assert certificate is not None  # noqa: S101  the caller has checked it
    public = certificate.public_key()
    assert isinstance(public, rsa.RSAPublicKey)  # noqa: S101  checked when it was read
    key = os.urandom(_KEY_BYTES)
    padder = PKCS7(_BLOCK_BITS).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    data = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    signature = hmac.digest(os.urandom(_KEY_BYTES) if "wrong_signature" in kinds else key, data, "sha256")
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), label=None)  # noqa: S303 - as Graph does
    wrapping = _FORGER.public_key() if "other_key" in kinds else public
    named = "00000000-0000-7000-8000-000000000000" if "unknown_certificate" in kinds else subscription.certificate_id
    return {
        "data": base64.b64encode(data).decode(),
        "dataSignature": base64.b64encode(signature).decode(),
        "dataKey": base64.b64encode(wrapping.encrypt(key, oaep)).decode(),
        "encryptionCertificateId": named,
        "encryptionCertificateThumbprint": certificate.fingerprint(hashes.SHA1()).hex().upper(),  # noqa: S303
    }
