"""Failures of the stack: each is one clear line for the person at the terminal."""


class StackError(Exception):
    """The stack cannot do its task. The message is one line with the reason and the advice."""


class DirectoryLockedError(StackError):
    """Another process uses the data directory."""


class ForeignDirectoryError(StackError):
    """The directory that was named is no data directory, and not empty."""


class UnsuitablePathError(StackError):
    """The path of the data directory cannot stand in files of settings."""


class PortInUseError(StackError):
    """A port that was asked for is taken."""


class StartError(StackError):
    """A program of the stack did not become ready."""


class StoppedError(Exception):
    """A person or a signal asked the stack to stop while it was starting."""


def describe(fault: OSError) -> str:
    """Returns a failure of the system in one line, such as "/data/ready.json: No space left on device"."""
    reason = fault.strerror or str(fault)
    return f"{fault.filename}: {reason}" if fault.filename else reason
