"""The rate of lending a valid token, compared to an RPC that does nothing."""

from collections.abc import Sequence

from bench import measure
from bench.measure import Figure, Options, median, percentile, processor_seconds
from bench.vault_machine import VaultMachine, vault_machine

QUESTION = (
    "How fast is a valid token lent, compared to an empty RPC on the same server, and how long does one loan take?"
)
METHOD = """One TokenVault, PostgreSQL that waits for its disk at each commit, mutual TLS, and a client in a process of
its own. A loan checks that the tenant is unchanged, opens the token, and commits an entry in the audit log before the
token leaves. The same process serves the empty RPC through the same interceptors. The two are measured in turn, in the
same run, with the same number of concurrent calls; the ratio is that of the medians. The steady load starts 200 calls a
second whether or not earlier ones are answered, and times count from the moment when a call was due. It runs first, and
for the empty RPC too, which shows the machine's own delay."""

TENANTS = 200
AT_ONCE = 128
SECONDS = 5.0
STEADY_PER_SECOND = 200.0
STEADY_SECONDS = 20.0


async def program(options: Options) -> Sequence[Figure]:
    """Measure both RPCs."""
    seconds, tenants = (0.3, 4) if options.is_quick else (SECONDS, TENANTS)
    async with vault_machine() as machine:
        await machine.ground.start(module="bench.vault_server")
        known = await machine.add_tenants("ms365", tenants, due=False)
        await machine.load("issue", known, at_once=AT_ONCE, seconds=min(2.0, seconds))
        steady = await _steady(machine, known, 0.3 if options.is_quick else STEADY_SECONDS)
        rates: dict[str, list[float]] = {"issue": [], "empty": []}
        spent: dict[str, list[float]] = {"issue": [], "empty": []}
        for _ in range(options.repeats):
            for kind, found in rates.items():
                before = processor_seconds(*machine.spenders)
                outcome = await machine.load(kind, known, at_once=AT_ONCE, seconds=seconds)
                spent[kind].append((processor_seconds(*machine.spenders) - before) / outcome.calls * 1e6)
                found.append(outcome.calls / outcome.seconds)
        return [*_rates(rates), *_costs(spent), *steady]


def _rates(rates: dict[str, list[float]]) -> list[Figure]:
    issue, empty = median(rates["issue"]), median(rates["empty"])
    return [
        Figure("loans a second, one process", issue, "1/s"),
        Figure("empty RPCs a second, the same process", empty, "1/s"),
        Figure("loans compared to empty RPCs", issue / empty, "ratio", ">= 0.5"),
    ]


def _costs(spent: dict[str, list[float]]) -> list[Figure]:
    issue, empty = median(spent["issue"]), median(spent["empty"])
    return [
        Figure("CPU of a loan, TokenVault and PostgreSQL", issue, "us"),
        Figure("CPU of an empty RPC, the same processes", empty, "us"),
        Figure("CPU of an empty RPC compared to a loan's", empty / issue, "ratio"),
    ]


async def _steady(machine: VaultMachine, tenants: Sequence[str], seconds: float) -> list[Figure]:
    took = {}
    for kind in ("empty", "issue"):
        outcome = await machine.load(kind, tenants, at_once=AT_ONCE, seconds=seconds, per_second=STEADY_PER_SECOND)
        took[kind] = outcome.milliseconds
    note = "the machine's own delay"
    return [
        Figure("loan at 200 a second, p50", percentile(took["issue"], 50), "ms"),
        Figure("loan at 200 a second, p99", percentile(took["issue"], 99), "ms", "<= 20"),
        Figure("empty RPC at 200 a second, p99", percentile(took["empty"], 99), "ms", "", note),
    ]


if __name__ == "__main__":
    measure.main("issue_token", QUESTION, METHOD, program)
