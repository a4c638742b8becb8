"""How often a test asks whether something has come true, so that asking does not take the time of what it waits for."""

SHARE = 0.05
LONGEST_PAUSE_SECONDS = 0.5


def pause_seconds(waited_seconds: float, shortest_seconds: float) -> float:
    """Return the time until the next question: a twentieth of the wait so far, within bounds.

    Each question is a call through the mesh or a program. A test that waits a minute would ask a thousand times, and
    take a core of the machine for it; so it learns of the end at most a twentieth later.

    Args:
        waited_seconds: The time since the first question.
        shortest_seconds: The pause of short waits.
    """
    return max(shortest_seconds, min(LONGEST_PAUSE_SECONDS, SHARE * waited_seconds))
