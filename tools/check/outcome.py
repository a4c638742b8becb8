"""The outcomes of a check other than success."""


class CheckError(Exception):
    """The check found faults; the message names each with its place."""


class Skipped(Exception):  # noqa: N818 - it is not an error
    """The check cannot run; the message names the missing toolchain."""
