"""The failure of content that cannot be read."""


class ContentError(Exception):
    """The content cannot be read.

    Args:
        cause: The cause as one word of the contract, without any of the content.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


CAUSES = frozenset(
    (
        *("bomb", "crashed", "format_unknown", "malformed", "memory", "model_missing", "nesting", "reader_missing"),
        *("time", "too_large"),
    )
)
"""The causes that callers and metrics see."""
