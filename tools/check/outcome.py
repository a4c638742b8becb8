"""What a check comes to."""


class CheckError(Exception):
    """The check found something; the message says what and where."""


class Skipped(Exception):  # noqa: N818 - it is no error
    """The check could not be made; the message says what is missing."""
