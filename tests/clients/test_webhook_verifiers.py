"""The clients' verifiers accept webhooks that mailmesh signs; the conformance suite runs the vectors."""

import subprocess

import pytest

from clients.builds import CLIENTS
from services.delivery.signature import sign
from services.delivery.signing_keys import Ed25519Key, HmacKey
from tests.clients.building import built
from tests.factories import webhook_vectors as vectors

# Building comes first, and a build from nothing takes its time.
pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("name", CLIENTS)
def test_a_verifier_accepts_what_mailmesh_signs_with_new_keys(name: str) -> None:
    client = CLIENTS[name]
    shared, pair = HmacKey.generate(), Ed25519Key.generate()
    sent_at = vectors.moment()
    headers = tuple(sign([shared, pair], "event-1", sent_at, vectors.BODY).values())
    keys = [shared.write().reveal()], [pair.public().write()], [HmacKey.generate().write().reveal()]
    now, body = str(int(sent_at.timestamp())), vectors.encoded(vectors.BODY)
    cases = ["\t".join(("verify", "new", now, *headers, body, " ".join(trusted))) for trusted in keys]
    program = built(client)
    done = subprocess.run(
        [*program.command, *client.manners[:1]],
        input="\n".join(cases) + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    answers = [line.removeprefix("new\t") for line in done.stdout.splitlines()]
    assert answers == ["accepted", "end", "accepted", "end", "signature_wrong", "end"]
