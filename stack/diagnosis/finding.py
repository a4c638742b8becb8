"""The findings of checks."""

from dataclasses import dataclass
from enum import Enum


class Grade(Enum):
    """How good a finding is."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        grade: How good it is.
        name: The subject of the check.
        fact: The observation; never a secret.
        remedy: Advice; empty when nothing has to be done.
    """

    grade: Grade
    name: str
    fact: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        """Returns the finding for machines."""
        return {"grade": self.grade.value, "name": self.name, "fact": self.fact, "remedy": self.remedy}


def good(name: str, fact: str, remedy: str = "") -> Finding:
    """Returns a finding that is as it should be."""
    return Finding(Grade.GOOD, name, fact, remedy)


def warning(name: str, fact: str, remedy: str) -> Finding:
    """Returns a finding that a person should know about."""
    return Finding(Grade.WARNING, name, fact, remedy)


def bad(name: str, fact: str, remedy: str) -> Finding:
    """Returns a finding that keeps something from working."""
    return Finding(Grade.BAD, name, fact, remedy)
