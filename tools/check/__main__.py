"""`python -m tools.check`: makes every check, says what came of each, and fails if one did.

A check whose toolchain is absent is skipped and counted; with CI=true it fails.
"""

import os
import sys
from collections import Counter
from collections.abc import Callable

from tools.check import contract, documents, drift, edge, locks
from tools.check.outcome import CheckError, Skipped
from tools.generate.protos import GenerationError

CHECKS: dict[str, Callable[[], str]] = {
    "buf lint": contract.lint,
    "buf breaking": contract.breaking,
    "gen/ is fresh": drift.drift,
    "docs/reference is fresh": documents.reference,
    "links lead somewhere": documents.links,
    "Envoy takes its configuration": edge.valid,
    "locks hold no address": locks.without_addresses,
    "locks are in step": locks.in_step,
}


def main() -> int:
    """Makes every check; returns the exit status."""
    outcomes = Counter(_outcome(name, check) for name, check in CHECKS.items())
    print(", ".join(f"{outcomes[kind]} {kind}" for kind in ("ok", "skipped", "failed") if outcomes[kind]))
    return 1 if outcomes["failed"] else 0


def _outcome(name: str, check: Callable[[], str]) -> str:
    try:
        outcome, detail = "ok", check()
    except Skipped as skipped:
        outcome, detail = "failed" if os.environ.get("CI") == "true" else "skipped", str(skipped)
    except (CheckError, GenerationError) as error:
        outcome, detail = "failed", f"\n{error}"
    print(f"{outcome:8}{name}: {detail}")
    return outcome


if __name__ == "__main__":
    sys.exit(main())
