"""Failures of Primitives that a caller can act on."""

from services.meshkit.errors import InvalidArgument


class ContentUnreadable(InvalidArgument):
    """The content could not be read within the bounds of one process."""

    reason = "CONTENT_UNREADABLE"
