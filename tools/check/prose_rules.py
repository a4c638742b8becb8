"""The words and turns of phrase that must not return, each with its replacement.

CONTRIBUTING.md states the voice rule and the table of terms. A rule belongs here only if its findings are nearly always
right: a writer who meets false alarms stops to read the true ones.
"""

import re
from dataclasses import dataclass

GENERATED = ("gen/", "node_modules/", "releases/")
"""Folders that no person writes."""


@dataclass(frozen=True)
class Rule:
    """One thing not to write.

    Args:
        pattern: Matches the words to report, in text whose lines are separated by newlines.
        instead: The replacement, for the message.
        before: Must match at the end of the text before the words, if given.
        is_question_allowed: Whether a sentence that ends with a question mark is fine.
    """

    pattern: re.Pattern[str]
    instead: str
    before: re.Pattern[str] | None = None
    is_question_allowed: bool = False


def _rule(words: str, instead: str, *, is_cased: bool = False) -> Rule:
    """Return a rule for whole words; a space in it also matches a line break."""
    pattern = rf"\b(?:{words})\b".replace(" ", r"\s+")
    return Rule(re.compile(pattern, 0 if is_cased else re.IGNORECASE), instead)


_BE = "am|is|are|was|were|be|been|being"
_OF_ONE = "a|the|its|one|each|per|every|another|lost|this"
_SENTENCE_BEGINS = re.compile(r"(?:^|[.!?:][\"')*_]*\s|\n[ \t]*\n|(?:^|\n)[ \t]*(?:[-*>]|\d+\.)[ \t]|\|)\s*$")
_CLAUSE_BEGINS = re.compile(r"[;,]\s+(?:and\s+|but\s+)?$")

RULES = (
    Rule(
        re.compile(r"\b(?:What|Whoever|Whatever|Who|Nobody)\b(?!')"),
        "name the subject of the sentence by a noun",
        _SENTENCE_BEGINS,
        is_question_allowed=True,
    ),
    Rule(
        re.compile(rf"\bwhat\s+(?:{_BE}|has|had)\b"),
        "name the subject of the clause by a noun",
        _CLAUSE_BEGINS,
        is_question_allowed=True,
    ),
    _rule("nobody", "name the subject: no caller, no process, no reader"),
    _rule("whoever", "name the person or the program"),
    _rule("somebody", "name the person or the program: an attacker, an operator"),
    _rule("for who", "for the operator, the developer, the caller who"),
    _rule("for want of", "because there is no"),
    _rule(
        f"(?:{_BE}) (?:not )?had(?= [a-z]*ly|[.,;:]|$| first| later| by| from| again| in )", "fetched, read, received"
    ),
    _rule(
        "to be had|cannot be had|can be had|could be had|could not be had|is not had", "can be fetched, is available"
    ),
    _rule("of before(?=[ ,.;:](?:are|is|was|were|the restore|,|\\.|;)|[,.;:])", "earlier, issued before ..."),
    _rule("(?:come|comes|came|coming) again", "retry, return, reconnect"),
    _rule("tried on", "retried"),
    _rule("look(?:s|ed|ing)? at", "inspect, check, poll, read"),
    _rule("to look(?! (?:like|up|for|alike|after))|(?:a|last|first|next) look", "to check, to poll; a check, a poll"),
    _rule("at work on", "processing, in progress"),
    _rule(f"(?:{_BE}) (?:being )?worked(?! (?:out|around|on|well))", "processed"),
    _rule("worked (?:items?|mails?|notifications?|rows?|ones)", "processed"),
    _rule("mend(?:s|ed|ing)?", "fix, repair"),
    _rule(r"(?<!help\s)(?<!service\s)desks?", "dispatcher"),
    _rule("troubles?", "failure, failure handling, recovery"),
    _rule("patience", "RetryPolicy; for a person or a provider: a pause"),
    _rule("verdicts?", "decision"),
    _rule("Happenings?", "PendingEvent", is_cased=True),
    _rule("Hints?", "ReportedChange", is_cased=True),
    _rule("(?<!-)standing(?! (?:still|by))", "TenantEligibility; for a tenant: eligibility"),
    _rule("custody", "TokenCipher"),
    _rule("graves?", "dead_letter_writer, dead letters"),
    _rule("keepers?", "reconciler (of subscriptions)"),
    _rule("nudge[sd]?|nudging", "wake, notify"),
    _rule("told(?! apart)", "notified, reported, informed"),
    _rule(rf"(?:{_OF_ONE}) holds?(?! (?:the|an?|its|that|on|for|up|no)\\b)", "lease"),
    _rule("anew", "again; for a thing: recreate, rewrite"),
    _rule("(?:was|were|is|are) said", "state, declare: the contract declares"),
    _rule("without a word", "silently"),
    _rule("unforeseen|foresaw|foresee[sn]?", "unhandled, unexpected"),
    _rule("reckon(?:s|ed|ing)?", "estimate, calculate"),
    _rule(r"(?<!one\s)(?<!\ba\s)(?<!single\s)pass(?:ed)? over", "skip"),
    _rule("(?:stood|stands?) (?:once|twice)", "is, exists, occurs"),
    _rule("(?:is|are) no more", "no longer exists"),
    _rule("what becomes? of|what became of", "the outcome, the fate of"),
)
