"""`python -m clients.conformance`: runs the suite with every client whose toolchain is here, and prints the reports.

With `--write`, the reports become the table of docs/reference/clients.md.
"""

import argparse
import asyncio
import sys
from dataclasses import replace

from clients.builds import CLIENTS, Client
from clients.conformance.run import Report, run
from clients.conformance.table import PAGE, page


def main() -> int:
    """Run the clients that the arguments name; return 1 if one fails a case."""
    parser = argparse.ArgumentParser(prog="python -m clients.conformance", description=__doc__)
    parser.add_argument("clients", nargs="*", choices=[*CLIENTS, []], help="clients to run; default all")
    parser.add_argument("--write", action="store_true", help="write the table of the documentation")
    arguments = parser.parse_args()
    reports = [report for name in arguments.clients or CLIENTS for report in reports_of(CLIENTS[name])]
    for report in reports:
        print("\n".join(report.lines()), flush=True)
    if arguments.write:
        PAGE.write_text(page(reports))
    return 1 if any(report.failed for report in reports) else 0


def reports_of(client: Client) -> list[Report]:
    """Build a client and run it in each of its manners; without its toolchain, say so and return nothing."""
    if client.absent:
        print(f"skipped {client.name}: {', '.join(client.absent)} is not installed", file=sys.stderr)
        return []
    program = client.build()
    manners = client.manners or ("",)
    programs = [replace(program, command=(*program.command, manner)) for manner in manners]
    return [asyncio.run(run(name, program)) for name, program in zip(client.runs, programs, strict=True)]


if __name__ == "__main__":
    sys.exit(main())
