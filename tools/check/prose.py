"""Checks that pages, docstrings, comments and messages keep the voice rule and the terms of CONTRIBUTING.md.

`python -m tools.check.prose` counts the findings of every folder; with paths it lists theirs.
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tools.check.outcome import CheckError
from tools.check.prose_rules import GENERATED, RULES, Rule
from tools.check.prose_texts import texts
from tools.generate.protos import ROOT

_DEPTH = 2
# The number of characters before a match that decide whether it begins a sentence.
_LEAD = 60


@dataclass(frozen=True)
class Finding:
    """A place that breaks a rule.

    Args:
        file: Its path from the root.
        line: The number of the line where the words begin.
        words: The words, on one line.
        instead: The replacement.
    """

    file: str
    line: int
    words: str
    instead: str

    def __str__(self) -> str:
        """Return the finding as an editor jumps to it: file, line, words and replacement."""
        return f"{self.file}:{self.line}: “{self.words}”: {self.instead}"


def prose() -> str:
    """Check every file that a person writes.

    Raises:
        CheckError: A file breaks a rule.
    """
    names = _files()
    broken = list(findings(names))
    if broken:
        raise CheckError("\n".join(map(str, broken)))
    return f"{len(names)} files, {len(RULES)} rules"


def findings(names: Iterable[str]) -> Iterator[Finding]:
    """Yield the findings of files, given by their paths from the root."""
    for name in names:
        yield from check(name, (ROOT / name).read_text(encoding="utf-8", errors="replace"))  # some files have no text


def check(name: str, content: str) -> Iterator[Finding]:
    """Yield the findings of one file in order of its lines.

    Args:
        name: The file's path; its suffix decides where its prose is.
        content: The file's text.
    """
    found = {
        Finding(name, text.line + text.words.count("\n", 0, place), words, rule.instead)
        for text in texts(name, content)
        for rule in RULES
        for place, words in _matches(rule, text.words)
    }
    yield from sorted(found, key=lambda finding: (finding.line, finding.words))


def _matches(rule: Rule, words: str) -> Iterator[tuple[int, str]]:
    for match in rule.pattern.finditer(words):
        lead = words[max(0, match.start() - _LEAD) : match.start()]
        if rule.before and not rule.before.search(lead):
            continue
        if not (rule.is_question_allowed and _is_question(words, match.end())):
            yield match.start(), " ".join(match[0].split())


def _is_question(words: str, place: int) -> bool:
    """Return whether the sentence around a place ends with a question mark."""
    ends = [at for mark in (". ", ".\n", "?", "!", "\n\n") if (at := words.find(mark, place)) >= 0]
    return bool(ends) and words[min(ends)] == "?"


def _files() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True).stdout
    return [name for name in listed.splitlines() if not name.startswith(GENERATED) and (ROOT / name).is_file()]


def main(paths: Sequence[str]) -> int:
    """Print the findings below paths, or without paths the count of every folder; return the exit status."""
    if paths:
        found = list(findings(name for name in _files() if name.startswith(tuple(paths))))
        print(*found, sep="\n")
        return 1 if found else 0
    counts = Counter("/".join(finding.file.split("/")[:_DEPTH]) for finding in findings(_files()))
    for place, count in sorted(counts.items()):
        print(f"{count:6} {place}")
    print(f"{sum(counts.values()):6} in all")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
