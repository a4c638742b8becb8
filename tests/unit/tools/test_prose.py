"""The prose check finds each rule's words where prose is, and leaves code and plain English alone."""

from pathlib import Path

import pytest

from tools.check import prose
from tools.check.outcome import CheckError
from tools.check.prose_rules import RULES

FAULTS = {
    "What is pending stays.": "What",
    "It is read. Whoever asks waits.": "Whoever",
    "The item stays, and what was read is dropped.": "what was",
    "- Nobody listens here.": "Nobody",
    "Then somebody asks.": "somebody",
    "Polled for want of an address.": "for want of",
    "The history id is had first.": "is had",
    "A body that cannot be had is cut.": "cannot be had",
    "Cursors of before are refused.": "of before",
    "It says when to come again.": "come again",
    "Providers come\nagain later.": "come again",
    "It stays and is tried on.": "tried on",
    "The row is looked at every second.": "looked at",
    "How mail is worked.": "is worked",
    "Mend the settings.": "Mend",
    "The desk claims it.": "desk",
    "One tenant in trouble.": "trouble",
    "The verdict is final.": "verdict",
    "The Happening is published.": "Happening",
    "Workers are told at once.": "told",
    "A nudge arrives.": "nudge",
    "The keeper renews it.": "keeper",
    "The worker lost its hold.": "its hold",
    "It is made anew.": "anew",
    "Two of them pass over it.": "pass over",
    "A guide for who runs it.": "for who",
}

PLAIN = [
    "What is a lease?",
    "The message names the missing field and what it means.",
    "Workers hold the lease, and both holders are told apart.",
    "This worked around a bug of the library.",
    "The page had 50 events before the restore.",
    "A long-standing rule, and a service desk.",
    "One pass over the table suffices.",
    "`nobody` runs PostgreSQL, and `what is` is code.",
]


def words(content: str, name: str = "page.md") -> list[str]:
    """The reported words of a file."""
    return [finding.words for finding in prose.check(name, content)]


@pytest.mark.parametrize("sentence", FAULTS)
def test_a_fault_is_reported_with_its_words(sentence: str) -> None:
    assert FAULTS[sentence] in words(sentence)


@pytest.mark.parametrize("sentence", PLAIN)
def test_plain_english_and_code_pass(sentence: str) -> None:
    assert [] == words(sentence)


def test_every_rule_has_a_replacement_and_is_tried_here() -> None:
    texts = [*FAULTS, "Patience", "Hint", "standing", "custody", "graves"]
    texts += ["is said", "without a word", "unforeseen", "reckoned", "stood once", "is no more", "what became of"]
    texts += ["worked items", "to look", "at work on"]

    assert [] == [rule for rule in RULES if not rule.instead]
    assert [] == [rule.pattern.pattern for rule in RULES if not any(rule.pattern.search(text) for text in texts)]


def test_a_finding_names_file_line_words_and_replacement() -> None:
    (finding,) = prose.check("docs/page.md", "# Title\n\nPlain.\nMend it.\n")

    assert "docs/page.md:4: “Mend”: fix, repair" == str(finding)


def test_pages_are_read_without_their_code() -> None:
    fenced = "```sh\nnobody\n```\n\n    somebody\n\n<!-- bench: cost -->\n| messages a hold |\n<!-- end -->\n"

    assert [] == words(fenced + "`told` [link](mend.md) https://example.com/desk\n")
    assert ["told"] == words(fenced + "told\n")


PYTHON = '''"""Module: nobody."""
import typer

# The comment that was
# told of it.
LIMIT = 1
"""Whoever reads this."""


def work(told: str = typer.Option("trouble", help="Mend it.")) -> None:
    """What it does."""
    logger.info("looked at", told=told)
    raise ValueError(f"come again, {told}")
'''


def test_python_is_read_in_comments_docstrings_help_and_messages_only() -> None:
    found = [(finding.line, finding.words) for finding in prose.check("module.py", PYTHON)]

    assert [
        (1, "nobody"),
        (5, "told"),
        (7, "Whoever"),
        (10, "Mend"),
        (11, "What"),
        (12, "looked at"),
        (13, "come again"),
    ] == sorted(set(found))


@pytest.mark.parametrize("name", ["a.proto", "a.go", "a.ts"])
def test_comments_of_other_languages_are_read_and_their_strings_not(name: str) -> None:
    content = 'a = "http://nobody"; // told\n/* nobody\n * here: trouble */\nb = "// mend";\n'

    assert [(1, "told"), (2, "nobody"), (3, "trouble")] == [
        (finding.line, finding.words) for finding in prose.check(name, content)
    ]


def test_help_texts_of_the_makefile_are_read() -> None:
    assert ["mend"] == words("format: ## Format and mend\n\tmend\n", "Makefile")


def test_the_check_fails_on_a_file_and_passes_without_the_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text("Nobody reads this.\n")
    monkeypatch.setattr(prose, "ROOT", tmp_path)
    monkeypatch.setattr(prose, "_files", lambda: ["docs/page.md"])

    with pytest.raises(CheckError, match=r"docs/page\.md:1: “Nobody”"):
        prose.prose()
    page.write_text("Consumers read this.\n")
    assert prose.prose().startswith("1 files")
