"""A source of calls to TokenVault over the mesh's own TLS, in a process of its own.

`python -m bench.vault_load PLAN.json OUTCOME.json` makes the calls of a plan and writes their outcome.
"""

import asyncio
import json
import random
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import grpc
import uvloop

from mailmesh.vault.v1.token_vault_service_pb2 import IssueTokenRequest

_EMPTY = b"\x0a\x01x"  # an EchoRequest with a one-letter text: its only required field
_METHODS = {
    "issue": "/mailmesh.vault.v1.TokenVaultService/IssueToken",
    "empty": "/echo.v1.MeshEcho/One",
}


@dataclass(frozen=True)
class Plan:
    """The calls to make.

    Args:
        address: The address of TokenVault.
        certificate: The caller's certificate, PEM; with `key` and `authority`.
        kind: "issue", or "empty" for an RPC that does nothing behind the same interceptors.
        tenants: The tenants whose tokens to request, in random order.
        at_once: The number of concurrent calls.
        seconds: The duration.
        per_second: Calls to start in a second; 0 starts the next one when an answer has arrived.
    """

    address: str
    certificate: str
    key: str
    authority: str
    kind: str
    tenants: list[str]
    at_once: int
    seconds: float
    per_second: float = 0.0


@dataclass
class Outcome:
    """The outcome.

    Args:
        calls: The number of successful calls.
        failures: The number of failures by gRPC code.
        seconds: The time from the first call to the last answer.
        milliseconds: The time of each call, from its due time.
    """

    calls: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    milliseconds: list[float] = field(default_factory=list)


async def load(plan: Plan) -> Outcome:
    """Make the calls of a plan."""
    credentials = grpc.ssl_channel_credentials(
        Path(plan.authority).read_bytes(), Path(plan.key).read_bytes(), Path(plan.certificate).read_bytes()
    )
    options = [("grpc.ssl_target_name_override", "token-vault.mailmesh.internal"), ("grpc.enable_http_proxy", 0)]
    async with grpc.aio.secure_channel(plan.address, credentials, options) as channel:
        call: Any = channel.unary_unary(_METHODS[plan.kind])
        bodies = _bodies(plan)
        await call(bodies[0], timeout=20)
        outcome = Outcome()
        began = time.perf_counter()
        await (_steadily if plan.per_second else _as_fast_as_possible)(plan, call, bodies, outcome)
        outcome.seconds = time.perf_counter() - began
    return outcome


def _bodies(plan: Plan) -> list[bytes]:
    if plan.kind == "empty":
        return [_EMPTY]
    return [IssueTokenRequest(tenant_id=tenant).SerializeToString() for tenant in plan.tenants]


async def _as_fast_as_possible(plan: Plan, call: Any, bodies: list[bytes], outcome: Outcome) -> None:
    end = time.perf_counter() + plan.seconds

    async def caller() -> None:
        while (now := time.perf_counter()) < end:
            await _one(call, random.choice(bodies), now, outcome)

    await asyncio.gather(*(caller() for _ in range(plan.at_once)))


async def _steadily(plan: Plan, call: Any, bodies: list[bytes], outcome: Outcome) -> None:
    began, running = time.perf_counter(), set()
    for number in range(round(plan.seconds * plan.per_second)):
        due = began + number / plan.per_second
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(_one(call, random.choice(bodies), due, outcome))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)


async def _one(call: Any, body: bytes, due: float, outcome: Outcome) -> None:
    try:
        await call(body, timeout=20)
    except grpc.aio.AioRpcError as exc:
        outcome.failures[exc.code().name] = outcome.failures.get(exc.code().name, 0) + 1
        return
    outcome.calls += 1
    outcome.milliseconds.append((time.perf_counter() - due) * 1000)


if __name__ == "__main__":
    found = Plan(**json.loads(Path(sys.argv[1]).read_text()))
    Path(sys.argv[2]).write_text(json.dumps(asdict(uvloop.run(load(found)))))
