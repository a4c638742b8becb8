"""Compare the CPU time of an input with that of an input four times as long."""

import time
from collections.abc import Callable

TIMES = 4
# Linear is 4, the square is 16. Runs that are too short to be measured say nothing.
MAX_RATIO = 9
MEASURABLE_SECONDS = 0.01
ATTEMPTS = 3


def grows_too_fast(small: Callable[[], object], large: Callable[[], object]) -> bool:
    """Tell whether time grows faster than the input; a busy machine gets three attempts.

    Args:
        small: Processes an input.
        large: Processes an input that is four times as long.
    """
    for _ in range(ATTEMPTS):
        longer = _seconds(large)
        if longer < MEASURABLE_SECONDS or longer <= MAX_RATIO * max(_seconds(small), MEASURABLE_SECONDS / TIMES):
            return False
    return True


def _seconds(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started
