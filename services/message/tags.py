"""Opening tags of a mail's HTML, as they are read, checked and written."""

from collections.abc import Sequence

from services.message.attributes import write_attributes
from services.message.places import Place
from services.message.sheets import Sheet
from services.message.visibility import View

PAGE = View()
"""The view outside of all elements."""


class Tag:
    """An opening tag. Mails repeat theirs, so that what follows from the tag alone is found once.

    Args:
        name: In lower case.
        attributes: Decoded, the first of each name; they are not changed.
        place: Its place among the elements around it; None when no style sheet asks for it.
    """

    __slots__ = ("_base", "_outer", "_view", "_written", "attributes", "name", "place")

    def __init__(self, name: str, attributes: dict[str, str], place: Place | None = None) -> None:
        # A dialog that is not open, and the parentheses of ruby, are not shown (HTML 4.11.4, 15.3.1).
        if name == "rp" or (name == "dialog" and "open" not in attributes):
            attributes = {**attributes, "hidden": ""}
        self.name, self.attributes, self.place = name, attributes, place
        self._outer: View | None = None
        self._view = PAGE
        self._base = self._written = ""

    def view_within(self, outer: View, sheet: Sheet, path: Sequence["Tag"]) -> View:
        """Returns the view inside the element.

        Args:
            outer: The view around it.
            sheet: The style sheets, the same ones for all calls.
            path: The elements around it, the outermost first.
        """
        if not self.attributes and not sheet.names(self.name):
            return outer
        if self._outer is not outer or sheet.has_paths:
            self._outer, self._view = outer, outer.within(self, sheet, path)
        return self._view

    def written(self, attributes: dict[str, str], base: str) -> str:
        """Returns attributes as they are written: those of the tag, or others that took their place."""
        if attributes is not self.attributes:
            return write_attributes(attributes, base)
        if attributes and not (self._written and self._base == base):
            self._base, self._written = base, write_attributes(attributes, base)
        return self._written
