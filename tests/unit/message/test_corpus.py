"""A generated corpus against a second reading: RFC 8621's algorithm over the tree that each mail was written from."""

from collections import Counter

import pytest

from services.processor.mail.sources.gmail_mapping import map_message
from tests.unit.message.corpus import SIZE, Leaf, Mail, Tree, as_gmail, corpus

DATA = {"text/calendar"}
MEDIA = ("image/", "audio/", "video/")


class Reference:
    """RFC 8621 section 4.1.4, `parseStructure`, line by line.

    Text that the algorithm puts nowhere (HTML behind plain text within one alternative) counts as shown.

    Three rules of other standards are added: any kind of text that people read counts as text/plain (RFC 2046 4.1.4),
    an alternative is one whatever its name (RFC 2046 5.1.4), and the root of multipart/related is the part that `start`
    names (RFC 2387 3.2).
    """

    def __init__(self, root: Tree | Leaf) -> None:
        self.text: list[Leaf] = []
        self.html: list[Leaf] = []
        self.attached: list[Leaf] = []
        self._all = leaves(root)
        self._read([root], "mixed", in_alternative=False, html=self.html, text=self.text, root=True)

    @property
    def shown(self) -> list[Leaf]:
        attached = {leaf.token for leaf in self.attached}
        return [leaf for leaf in self._all if leaf.media_type.startswith("text/") and leaf.token not in attached]

    def _read(self, parts, subtype, *, in_alternative, html, text, root=False, start="") -> None:
        lengths = [-1 if form is None else len(form) for form in (text, html)]
        self._place(parts, subtype, in_alternative=in_alternative, html=html, text=text, root=root, start=start)
        if subtype == "alternative" and text is not None and html is not None:
            if lengths[0] == len(text) and lengths[1] != len(html):
                text.extend(html[lengths[1] :])
            if lengths[1] == len(html) and lengths[0] != len(text):
                html.extend(text[lengths[0] :])

    def _place(self, parts, subtype, *, in_alternative, html, text, root, start) -> None:
        ids = [part.content_id if isinstance(part, Leaf) else "" for part in parts]
        first = ids.index(start) if start in ids and start else 0
        has_form = subtype == "alternative" and any(map(self._has_form, parts))
        for place, part in enumerate(parts):
            if isinstance(part, Tree):
                self._read(
                    part.children, part.subtype, in_alternative=in_alternative or part.subtype == "alternative",
                    html=html, text=text, start=part.start if part.subtype == "related" else "",
                )  # fmt: skip
                continue
            kind = self._kind(part, root=root)
            is_lesser_form = has_form and part.media_type not in ("text/plain", "text/html")
            if is_lesser_form or not self._is_inline(part, kind, subtype, is_first=place == first):
                self.attached.append(part)
                continue
            if subtype == "alternative":
                form = {"text/plain": text, "text/html": html}.get(kind, self.attached)
                if form is not None:
                    form.append(part)
                continue
            if in_alternative:
                html = None if kind == "text/plain" else html
                text = None if kind == "text/html" else text
            for form in (text, html):
                if form is not None:
                    form.append(part)

    @staticmethod
    def _is_inline(part: Leaf, kind: str, subtype: str, *, is_first: bool) -> bool:
        if part.disposition == "attachment" or not (kind in ("text/plain", "text/html") or kind.startswith(MEDIA)):
            return False
        is_unnamed = subtype != "related" and (kind.startswith(MEDIA) or not part.name)
        return is_first or subtype == "alternative" or is_unnamed

    @staticmethod
    def _has_form(part: Tree | Leaf) -> bool:
        if isinstance(part, Tree):
            return any(leaf.media_type in ("text/plain", "text/html") for leaf in Reference(part).shown)
        return part.media_type in ("text/plain", "text/html") and part.disposition != "attachment"

    @staticmethod
    def _kind(part, *, root: bool) -> str:
        is_people = part.media_type.startswith("text/") and part.media_type != "text/html" and (
            part.media_type not in DATA or root
        )  # fmt: skip
        return "text/plain" if is_people else part.media_type


def leaves(part: Tree | Leaf) -> list[Leaf]:
    return [part] if isinstance(part, Leaf) else [leaf for child in part.children for leaf in leaves(child)]


MAILS = list(corpus())
FORMS = [
    {"are_words_decoded": False, "is_utf8": False},
    {"are_words_decoded": True, "is_utf8": True},
]


def test_the_corpus_is_large_and_varied() -> None:
    kinds = Counter(leaf.media_type for mail in MAILS for leaf in leaves(mail.root))

    assert len(MAILS) == SIZE >= 2000
    assert len({mail.raw for mail in MAILS}) == len(MAILS)
    assert min(kinds.values()) > 100
    assert [mail.raw for mail in corpus(size=20)] == [mail.raw for mail in MAILS[:20]]


def _differences(mail: Mail, form: dict[str, bool]) -> list[str]:
    message, reference = map_message(as_gmail(mail.raw, **form)).message, Reference(mail.root)
    shown = {leaf.token for leaf in reference.shown}
    readable = message.body.text + message.body.html
    found = {leaf.token for leaf in leaves(mail.root) if f"{leaf.token} {leaf.text}" in readable}
    wrong = [f"shown {sorted(found)}, reference {sorted(shown)}"] if found != shown else []
    if (mail.subject, mail.name) != (message.subject, message.from_address.name):
        wrong.append(f"subject {message.subject!r}, name {message.from_address.name!r}")
    attached = [leaf.media_type for leaf in leaves(mail.root) if leaf.token not in shown]
    if attached != [attachment.content_type for attachment in message.attachments]:
        wrong.append(f"attached {[a.content_type for a in message.attachments]}, reference {attached}")
    if _is_nested(mail.root):  # forms of forms: the reference copies some of them from one to the other
        return wrong
    lost = [leaf.token for leaf in reference.text if leaf.token in shown and leaf.token not in message.body.text]
    if any(leaf.media_type == "text/html" for leaf in reference.html):
        lost += [leaf.token for leaf in reference.html if leaf.token in shown and leaf.token not in message.body.html]
    return wrong + ([f"lost {lost}"] if lost else [])


def _is_nested(part: Tree | Leaf) -> bool:
    if isinstance(part, Leaf):
        return False
    has_trees = any(isinstance(child, Tree) for child in part.children)
    return (part.subtype == "alternative" and has_trees) or any(map(_is_nested, part.children))


@pytest.mark.parametrize("form", FORMS, ids=["as sent", "decoded"])
def test_bodies_attachments_and_words_are_those_of_the_reference(form: dict[str, bool]) -> None:
    """RFC 8621 4.1.4, RFC 2046 4.1.4 and 5.1.4, RFC 2183 2.1, RFC 2387 3.2, RFC 2047, WHATWG Encoding 4.2."""
    wrong = {number: found for number, mail in enumerate(MAILS) if (found := _differences(mail, form))}

    assert {} == wrong
