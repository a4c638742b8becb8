"""Links between calls: whether a call follows one that an answer gave, and which page of a walk it reads."""

from collections import OrderedDict
from urllib.parse import parse_qsl, urlsplit

from simulator.http import Call, Reply

_FOLLOWING = ("$skiptoken", "pageToken", "$skip")
_STORED = (*_FOLLOWING, "$deltatoken", "startHistoryId")
_KEPT_MAX = 10_000


class Links:
    """The page numbers of the tokens given out lately."""

    def __init__(self) -> None:
        self._pages: OrderedDict[str, int] = OrderedDict()

    def page(self, call: Call) -> int:
        """Return the page that a call reads, 1 for one without the token of a next page."""
        return self._pages.get(_token(call.path, call.query), 1)

    def learn(self, call: Call, reply: Reply) -> None:
        """Remember the token of the next page in an answer."""
        if not isinstance(reply.body, dict):
            return
        link = urlsplit(str(reply.body.get("@odata.nextLink", "")))
        token = str(reply.body.get("nextPageToken", "")) or _token(link.path, parse_qsl(link.query))
        if token:
            self._pages[token] = self.page(call) + 1
            while len(self._pages) > _KEPT_MAX:
                self._pages.popitem(last=False)


def is_stored(call: Call) -> bool:
    """Return whether a call goes on from a stored place: a next or delta link, a page token, a history id."""
    return any(name in _STORED for name, _ in call.query)


def _token(path: str, query: list[tuple[str, str]]) -> str:
    """Return the token of a page; a position among the items names a page of one list alone."""
    tokens = ((name, value) for name, value in query if name in _FOLLOWING)
    return next((f"{path} {value}" if name == "$skip" else value for name, value in tokens), "")
