"""`python -m tools.check`: runs every check, prints its outcome, and fails if one failed.

A check whose toolchain is absent is skipped and counted; with CI=true it fails.
"""

import os
import sys
from collections import Counter
from collections.abc import Callable

from tools.check import (
    alerts,
    console,
    contract,
    deployment,
    documents,
    drift,
    edge,
    lengths,
    locks,
    openapi,
    prose,
    site,
)
from tools.check.outcome import CheckError, Skipped
from tools.generate.protos import GenerationError

CHECKS: dict[str, Callable[[], str]] = {
    "buf lint": contract.lint,
    "buf breaking": contract.breaking,
    "gen/ is fresh": drift.drift,
    "Redocly accepts the OpenAPI document": openapi.redocly,
    "Spectral accepts the OpenAPI document": openapi.spectral,
    "docs/reference is fresh": documents.reference,
    "links lead to files": documents.links,
    "paths in pages exist": documents.paths,
    "pages name their readers": documents.openings,
    "prose keeps the rules": prose.prose,
    "files of code are short": lengths.lengths,
    "the site builds": site.site,
    "Envoy accepts its configuration": edge.valid,
    "the console has its types": console.types,
    "console/dist is fresh": console.fresh,
    "Prometheus accepts the rules": alerts.rules,
    "deploy/grafana is fresh": alerts.fresh,
    "Kubernetes knows the chart's objects": deployment.chart,
    "hadolint accepts the Dockerfile": deployment.dockerfile,
    "locks hold no address": locks.without_addresses,
    "locks are in step": locks.in_step,
}


def main() -> int:
    """Run every check; return the exit status."""
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
