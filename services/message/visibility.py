"""Which text of an HTML body a reader sees: what the elements around it say of size, ink, ground and display."""

import html
from collections.abc import Sequence
from typing import NamedTuple

from services.message.colours import can_be_read, can_be_seen, comparable
from services.message.selectors import Element
from services.message.sheets import Sheet
from services.message.styles import OF_THE_INK, Style, read_style

_UNSEEN = str.maketrans(
    dict.fromkeys(
        "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200d\u200e\u200f\u2060\u2063\u2800\u3164\ufeff"
    )
)


class View(NamedTuple):
    """How text is shown at one place.

    Args:
        is_gone: Nothing is shown here, whatever an inner element says.
        is_seen: `visibility` lets it be seen.
        is_tiny: The text has no size.
        ink: Colour of the text, empty when it is not known.
        ground: Colour behind it, empty when it is not known, `OF_THE_INK` when it is that of the ink, whatever that is.
        kept_ground: The colour behind it in the HTML that is made, empty when that has none.
        is_ground_lost: Another ground stood here, a picture or one of a style sheet, which the HTML that is made lacks.
    """

    is_gone: bool = False
    is_seen: bool = True
    is_tiny: bool = False
    ink: str = ""
    ground: str = ""
    kept_ground: str = ""
    is_ground_lost: bool = False

    @property
    def shows_text(self) -> bool:
        """A reader sees text that stands here."""
        has_ink = self.ink != "transparent" and (not self.ink or can_be_seen(self.ink, self.ground))
        has_ink = has_ink and self.ground != OF_THE_INK
        return not self.is_gone and self.is_seen and not self.is_tiny and has_ink

    def within(self, element: Element, sheet: Sheet, path: Sequence[Element] = ()) -> "View":
        """Returns the view inside an element.

        Args:
            element: The element, with its attributes decoded.
            sheet: The style sheets read so far.
            path: The elements around it, the outermost first.
        """
        name, attributes = element.name, element.attributes
        own = read_style(attributes["style"]) if "style" in attributes else _NO_STYLE
        if not (own.given.concerns_sight or name == "a" or sheet.names(name) or not _MARKS.isdisjoint(attributes)):
            return self
        is_named = "class" in attributes or "id" in attributes or sheet.names(name)
        style = sheet.look(element, path, own) if is_named else own
        hides = "hidden" in attributes and attributes["hidden"] != "until-found" and not style.display
        loses = is_named and sheet.gives_ground(element)
        is_hidden = style.is_gone or _is_boxed_away(name, style)
        is_gone = self.is_gone or hides or (is_hidden and not _is_button(name, attributes))
        if style is _NO_STYLE and not hides and _LOOKS.isdisjoint(attributes) and name != "a" and not loses:
            return self
        has_ground = own.ground != "inherit" or "bgcolor" in attributes
        keeps = _kept_ground(attributes, own) if has_ground else None
        ink = _ink(self.ink, name, attributes, style)
        ground = _ground(self.ground, attributes, style, is_unknown=sheet.is_ground_unknown(element))
        if style.ground == OF_THE_INK and ground:
            ground = ink or OF_THE_INK
        elif ground == OF_THE_INK and (ink or _gives_ink(name, attributes, style)):
            ground = ""  # that of an ink which is not known, and not the ink here
        return View(
            is_gone=is_gone,
            is_seen=self.is_seen if style.is_seen is None else style.is_seen,
            is_tiny=self.is_tiny if style.is_tiny is None else style.is_tiny,
            ink=ink,
            ground=ground,
            kept_ground=self.kept_ground if keeps is None else keeps,
            is_ground_lost=keeps is None and (self.is_ground_lost or loses or _has_picture(attributes, own)),
        )

    def readable(self, name: str, attributes: dict[str, str], outer: "View") -> dict[str, str]:
        """Returns the attributes of an element on a lost ground, without ink that cannot be read on what is left.

        Args:
            name: The element.
            attributes: Its attributes.
            outer: The view around the element, whose ink is left when that of the element goes.
        """
        given = read_style(attributes["style"]) if "style" in attributes else _NO_STYLE
        has_ink = given.ink != "inherit" or (name == "font" and "color" in attributes) or "text" in attributes
        if not has_ink and (not outer.ink or outer.is_ground_lost):
            return attributes
        if can_be_read(self.ink, self.kept_ground):
            return attributes
        made = {key: value for key, value in attributes.items() if key not in _INKS}
        declarations = [text for text in given.css.split(";") if text and not text.startswith("color:")]
        if outer.ink and not outer.is_ground_lost and not can_be_read(outer.ink, self.kept_ground):
            declarations.append("color:#000000" if can_be_read("000000", self.kept_ground) else "color:#ffffff")
        return {**made, "style": ";".join(declarations)} if declarations else made


_NO_STYLE = Style()
_IN_LINES = frozenset(
    ["a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "i", "ins",
     "kbd", "label", "map", "mark", "nobr", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time",
     "tt", "u", "var"]
)  # fmt: skip
_OF_TABLES = frozenset(["table", "tbody", "td", "tfoot", "th", "thead", "tr"])
_LOOKS = frozenset(("bgcolor", "background", "color", "text"))
_MARKS = _LOOKS | {"hidden", "class", "id"}
_INKS = frozenset(("color", "text", "style"))


def _is_boxed_away(name: str, style: Style) -> bool:
    """Tells whether the box of an element hides it: lines have no boxes of their own, and tables grow."""
    display = style.display or ("inline" if name in _IN_LINES else "table" if name in _OF_TABLES else "block")
    is_inline = display == "inline" and style.given.normal.get("position") not in ("absolute", "fixed")
    if is_inline or display == "contents":
        return False
    return style.is_turned_away or (style.is_shut and not display.startswith("table"))


def _is_button(name: str, attributes: dict[str, str]) -> bool:
    """A link that only Outlook has to hide, because it is given the same link in its own drawing language."""
    return name == "a" and "mso-hide" in attributes["style"].lower() and "none" not in attributes["style"].lower()


def _ink(ink: str, name: str, attributes: dict[str, str], style: Style) -> str:
    if style.ink != "inherit":
        return style.ink
    given = attributes.get("color", "") if name == "font" else attributes.get("text", "") if name == "body" else ""
    if given:
        return comparable(given)
    return "" if name == "a" and "href" in attributes else ink


def _gives_ink(name: str, attributes: dict[str, str], style: Style) -> bool:
    """Tells whether an element has another ink than what is around it, known or not."""
    return style.ink != "inherit" or (name == "a" and "href" in attributes)


def _ground(ground: str, attributes: dict[str, str], style: Style, *, is_unknown: bool) -> str:
    if is_unknown or "background" in attributes:
        return ""
    if style.ground != "inherit":
        return style.ground
    return comparable(attributes["bgcolor"]) if "bgcolor" in attributes else ground


def _kept_ground(attributes: dict[str, str], style: Style) -> str | None:
    """The ground that the made HTML has here, `?` for a colour that cannot be compared; None without a ground."""
    kept = style.kept_ground or attributes.get("bgcolor", "")
    return (comparable(kept) or "?") if kept and kept != "transparent" else None


def _has_picture(attributes: dict[str, str], style: Style) -> bool:
    is_lost = style.ground not in ("", "inherit", "transparent") and not style.kept_ground
    return is_lost or not style.ground or "background" in attributes


def has_words(text: str) -> bool:
    """Tells whether a run of HTML text holds more than blanks and characters without a shape."""
    return bool(html.unescape(text[:4096]).translate(_UNSEEN).strip())
