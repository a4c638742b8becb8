"""`format=flowed` (RFC 3676): paragraphs that a sender has wrapped become whole again."""

_SIGNATURE = "-- "


def unflow(text: str, *, delete_space: bool) -> str:
    """Joins the lines of flowed paragraphs (RFC 3676 4.1 to 4.5); quoting, fixed lines and signatures stay.

    Args:
        text: Lines that end with a line feed.
        delete_space: `DelSp=yes`: the blank at the end of a flowed line belongs to the wrapping, not to the text.
    """
    made: list[str] = []
    paragraph: list[str] = []
    depth = 0
    for line in text.split("\n"):
        content = line.lstrip(">")
        own_depth = len(line) - len(content)
        content = content.removeprefix(" ")  # space-stuffing (4.4)
        is_fixed = content == _SIGNATURE or not content.endswith(" ")
        if paragraph and (own_depth != depth or content == _SIGNATURE):
            made.append(_quoted("".join(paragraph), depth))
            paragraph = []
        depth = own_depth
        paragraph.append(content if is_fixed or not delete_space else content[:-1])
        if is_fixed:
            made.append(_quoted("".join(paragraph), depth))
            paragraph = []
    if paragraph:
        made.append(_quoted("".join(paragraph), depth))
    return "\n".join(made)


def _quoted(line: str, depth: int) -> str:
    return f"{'>' * depth} {line}" if depth else line
