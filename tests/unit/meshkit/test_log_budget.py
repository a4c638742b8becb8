"""Lines that a caller causes are bounded, and the omitted ones are counted."""

from services.meshkit.log_budget import LogBudget


def test_lines_past_the_budget_are_left_out_and_counted_by_the_next_one() -> None:
    now = [0.0]
    budget = LogBudget(lines=2, seconds=60, monotonic=lambda: now[0])

    first = [budget.admit("a") for _ in range(5)]
    other = budget.admit("b")
    now[0] = 60.0
    later = [budget.admit("a") for _ in range(2)]

    assert ([0, 0, None, None, None], 0, [3, 0]) == (first, other, later)


def test_many_kinds_share_one_budget() -> None:
    budget = LogBudget(lines=1, seconds=60, monotonic=lambda: 0.0)

    admitted = [budget.admit(number) for number in range(1500)]

    assert 1001 == sum(one is not None for one in admitted)
