"""Starts a program that cannot outlive the one that started it.

Run as a script, with nothing but the standard library, so that it costs milliseconds:
`python -I -S tether.py [--user NAME [--search]] [--signal TERM] [--environment FILE] -- PROGRAM ARGUMENT...`

It asks the kernel for a signal at the death of the parent, drops to an unprivileged user if asked, takes its settings
from a private file and forgets those of the process that started it, and becomes the program by exec: no process stays
between.
"""

import argparse
import ctypes
import json
import os
import pwd
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
LINUX_CAPABILITY_VERSION_3 = 0x20080522
EXIT_CANNOT_START = 126
KEPT_NAMES = frozenset({
    *("PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"),
})  # fmt: skip
KEPT_PREFIXES = ("LC_", "PYTHON")


def main(arguments: list[str]) -> None:
    """Prepares this process as the arguments say and becomes the program."""
    options = parse(arguments)
    prepare(options)
    os.execvp(options.program[0], options.program)  # noqa: S606 - the stack wrote the arguments


def prepare(options: argparse.Namespace) -> None:
    """Prepares this process for its program: environment, user, and its end with its parent."""
    parent = os.getppid()
    if options.environment:
        replace_environment(json.loads(Path(options.environment).read_text(encoding="utf-8")))
    if options.user:
        become(options.user, search=options.search)
    # After the change of user, which clears it.
    die_with_parent(parent, signal.Signals[f"SIG{options.signal}"])


def parse(arguments: list[str]) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="tether", description=__doc__)
    parser.add_argument("--user", help="unprivileged user to run as; only root can")
    parser.add_argument("--search", action="store_true", help="keep root's right to pass closed folders")
    parser.add_argument("--signal", default="TERM", help="signal for the program when its parent dies")
    parser.add_argument("--environment", help="JSON file with variables to add to the environment")
    parser.add_argument("program", nargs="+", help="the program and its arguments")
    return parser.parse_args(arguments)


def machine_environment() -> dict[str, str]:
    """Returns the machine's own variables of our environment, so that no program sees another program's variables."""
    return {name: value for name, value in os.environ.items() if name in KEPT_NAMES or name.startswith(KEPT_PREFIXES)}


def replace_environment(variables: dict[str, str]) -> None:
    """Forgets the inherited environment but for the machine's ways, and takes the variables instead."""
    kept = machine_environment()
    os.environ.clear()
    os.environ.update(kept | variables)


def die_with_parent(parent: int, number: signal.Signals) -> None:
    """Asks for a signal when the parent dies; only Linux has that, elsewhere nothing happens."""
    if not sys.platform.startswith("linux"):
        return
    prctl(PR_SET_PDEATHSIG, int(number))
    if os.getppid() != parent:
        sys.exit("the parent died before the program started")


def become(name: str, *, search: bool) -> None:
    """Gives up root for an unprivileged user, keeping the passage through closed folders if asked."""
    user = pwd.getpwnam(name)
    if search:
        prctl(PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    os.environ["HOME"] = "/"
    if search:
        keep_passage()


def keep_passage() -> None:
    """Keeps CAP_DAC_OVERRIDE over exec, so that a data directory under a closed home can be reached."""
    mask = 1 << CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    if ctypes.CDLL(None, use_errno=True).capset(header, sets) != 0:
        fail("capset")
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE)


def prctl(*numbers: int) -> None:
    """Calls the system call of that name."""
    padded = [ctypes.c_ulong(number) for number in (*numbers, 0, 0, 0, 0, 0)[:5]]
    if ctypes.CDLL(None, use_errno=True).prctl(*padded) != 0:
        fail("prctl")


def fail(call: str) -> None:
    """Ends with the system's reason for a failed call."""
    sys.stderr.write(f"tether: {call}: {os.strerror(ctypes.get_errno())}\n")
    sys.exit(EXIT_CANNOT_START)


if __name__ == "__main__":
    main(sys.argv[1:])
