"""Finds the user that a program runs as when we are root and the program refuses to be."""

import os
import pwd
import stat
from pathlib import Path

from stack.programs.program import UnprivilegedUser

CANDIDATES = ("postgres", "nobody")


class NoUnprivilegedUserError(Exception):
    """We are root and the machine has no user to run an unprivileged program as."""


def unprivileged_user(*paths: Path) -> UnprivilegedUser | None:
    """Chooses the user for a program that refuses to run as root.

    Args:
        paths: The paths that the program must reach.

    Returns:
        None when we are not root ourselves: the program runs as our own user.

    Raises:
        NoUnprivilegedUserError: There is neither `postgres` nor `nobody` on this machine.
    """
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return UnprivilegedUser(name, needs_passage=not all(_is_open(path.resolve()) for path in paths))
    raise NoUnprivilegedUserError(f"we are root and there is none of the users {', '.join(CANDIDATES)}")


def give(path: Path, user: UnprivilegedUser | None) -> None:
    """Makes the user the owner of a file or folder; does nothing without a user. Safe to call again: yes."""
    if user is not None:
        entry = pwd.getpwnam(user.name)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def _is_open(path: Path) -> bool:
    """Says whether every folder above the path lets anyone pass."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.parents if parent.exists())
