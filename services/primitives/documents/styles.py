"""Styles of a document that hide text, with the styles from which they inherit."""

# A chain of parents is as long as its author wants, and may be a ring.
_MAX_PARENTS = 20


class Styles:
    """Collects styles; says which of them hide text."""

    def __init__(self) -> None:
        self._parents: dict[tuple[str, str], str | None] = {}
        self._hidden: dict[tuple[str, str], bool] = {}

    def add(self, kind: str, name: str, parent: str | None) -> None:
        """Add a style.

        Args:
            kind: Its kind: paragraph, character and the like. A name is unique in its kind.
            name: Its name; the style of text that names none has an empty one.
            parent: The name of the style from which it inherits; None if there is none.
        """
        self._parents[kind, name] = parent
        self._hidden.pop((kind, name), None)

    def hide(self, kind: str, name: str, *, is_hidden: bool) -> None:
        """Set whether a style itself hides text, whatever its parent does."""
        self._hidden[kind, name] = is_hidden

    def hides(self, kind: str, name: str) -> bool:
        """Tell whether text in a style is hidden."""
        key: str | None = name
        for _ in range(_MAX_PARENTS):
            if key is None:
                return False
            if (kind, key) in self._hidden:
                return self._hidden[kind, key]
            key = self._parents.get((kind, key))
        return False
