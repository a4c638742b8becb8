"""``python -m simulator``: Microsoft and Google on this machine."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop
import yaml
from pydantic import ValidationError

from simulator.knobs import Knobs
from simulator.options import Options
from simulator.program import run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the simulator until a signal stops it; return the exit code."""
    parser = _parser()
    found = parser.parse_args(arguments)
    try:
        options = _options(found)
        Knobs(**options.settings)
        uvloop.run(run(options))
    except ValidationError as error:
        parser.error(str(error))
    except (OSError, ValueError) as error:
        print(f"simulator: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulator", description="Microsoft 365 and Google Workspace mail, simulated on this machine."
    )
    add = parser.add_argument
    add("--cert", type=Path, required=True, help="certificate of the HTTPS servers (PEM)")
    add("--key", type=Path, required=True, help="its key (PEM)")
    add(
        "--ca",
        type=Path,
        help="CA that is trusted for notification URLs, and named to the services as the providers' CA",
    )
    add("--microsoft-port", "--ms-port", type=int, default=0, help="port of Microsoft; 0 = any")
    add("--google-port", type=int, default=0, help="port of Google; 0 = any")
    add("--control-port", type=int, default=0, help="port of the control API (plain HTTP, loopback); 0 = any")
    add("--ready-file", type=Path, help="JSON written when everything listens (mode 0600)")
    add("--push-endpoint", default="", help="URL that Pub/Sub pushes to; may be set later by the control API")
    add("--pubsub-audience", help="audience of the pushes' tokens; empty = the push endpoint")
    add("--seed", type=int, default=1, help="seed of everything random")
    add("--state", type=Path, help="file in which accounts, mail, tokens and subscriptions outlive a restart")
    add("--scenario", type=Path, help="YAML or JSON file, see docs/reference/simulator.md")
    add(
        "--account",
        action="append",
        metavar="PROVIDER:ADDRESS",
        help="an account, e.g. ms365:anna@contoso.test; may be repeated; replaces the two usual ones",
    )
    add("--mail", type=Path, help="folder of .eml files for every account, or with a subfolder per address")
    add("--old-mails", type=int, default=0, help="generated old mails in each account's mailbox")
    add(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting, e.g. gmail_units_per_minute=6000; may be repeated",
    )
    return parser


def _options(found: argparse.Namespace) -> Options:
    """Return the options; an omitted one keeps its default."""
    chosen: dict[str, Any] = {name: getattr(found, name) for name in _PLAIN}
    for name, variable in _SECRETS.items():
        if variable in os.environ:
            chosen[name] = os.environ[variable]
    if found.account is not None:
        chosen["accounts"] = tuple(_account(text) for text in found.account)
    if found.pubsub_audience is not None:
        chosen["audience"] = found.pubsub_audience
    chosen["settings"] = dict(_setting(text) for text in found.set)
    return Options(**chosen)


_PLAIN = [
    "cert",
    "key",
    "ca",
    "microsoft_port",
    "google_port",
    "control_port",
    "ready_file",
    "push_endpoint",
    "seed",
    "scenario",
    "state",
    "mail",
    "old_mails",
]
_SECRETS = {
    "microsoft_secret": "SIMULATOR_MICROSOFT_CLIENT_SECRET",
    "google_secret": "SIMULATOR_GOOGLE_CLIENT_SECRET",
}


def _account(text: str) -> tuple[str, str]:
    provider, _, address = text.partition(":")
    if provider not in {"ms365", "googlews"} or "@" not in address:
        msg = f"--account {text}: expected ms365:ADDRESS or googlews:ADDRESS"
        raise ValueError(msg)
    return provider, address


def _setting(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator:
        msg = f"--set {text}: expected NAME=VALUE"
        raise ValueError(msg)
    return name, yaml.safe_load(value)


if __name__ == "__main__":
    sys.exit(main())
