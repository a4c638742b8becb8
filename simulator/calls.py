"""The log of every call to the simulator, so that tests can count them."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call: its simulated time in seconds, operation, account and answer.

    ``endpoint`` is the operation's name, e.g. ``graph.messages.get``; ``account`` an address or empty;
    ``fault`` the kind of fault that was put into it, or empty.
    """

    number: int
    at: float
    provider: str
    method: str
    path: str
    endpoint: str
    account: str
    status: int
    milliseconds: float
    fault: str = ""
    inside_batch: bool = False


class CallLog:
    """The newest calls in full and the counts of all of them."""

    def __init__(self, limit: int = 100_000) -> None:
        self._records: deque[CallRecord] = deque(maxlen=limit)
        self._counts: Counter[tuple[str, str, int]] = Counter()
        self._number = 0

    def add(self, **facts: Any) -> None:
        """Record one call."""
        self._number += 1
        record = CallRecord(number=self._number, **facts)
        self._records.append(record)
        self._counts[record.endpoint, record.account, record.status] += 1

    @property
    def total(self) -> int:
        """How many calls there ever were."""
        return self._number

    def reset(self) -> None:
        """Forget all calls and counts."""
        self._records.clear()
        self._counts.clear()

    def find(
        self, *, endpoint: str = "*", account: str = "*", status: int = 0, after: int = 0, limit: int = 1000
    ) -> list[dict[str, Any]]:
        """Return the newest ``limit`` calls that match, oldest first."""
        found = [asdict(record) for record in self._matching(endpoint, account, status, after)]
        return found[-limit:]

    def counts(self, *, endpoint: str = "*", account: str = "*", status: int = 0) -> dict[str, Any]:
        """Return how many calls match: in total, by endpoint, and by endpoint and status."""
        by_endpoint: Counter[str] = Counter()
        by_status: Counter[str] = Counter()
        for (name, whose, code), count in self._counts.items():
            if fnmatchcase(name, endpoint) and fnmatchcase(whose, account) and status in (0, code):
                by_endpoint[name] += count
                by_status[f"{name} {code}"] += count
        return {"total": by_endpoint.total(), "byEndpoint": dict(by_endpoint), "byStatus": dict(by_status)}

    def _matching(self, endpoint: str, account: str, status: int, after: int) -> Iterator[CallRecord]:
        for record in self._records:
            if record.number <= after or status not in (0, record.status):
                continue
            if fnmatchcase(record.endpoint, endpoint) and fnmatchcase(record.account, account):
                yield record
