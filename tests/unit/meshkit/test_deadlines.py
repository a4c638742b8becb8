"""The rest of a deadline bounds the next step."""

import asyncio
import contextvars

import pytest

from services.meshkit.deadlines import budget, remaining, set_deadline, within
from services.meshkit.errors import DeadlineTooShort


def test_without_a_deadline_the_cap_holds():
    assert (None, 5.0) == contextvars.Context().run(lambda: (remaining(), budget(5.0)))


async def test_the_shorter_of_cap_and_deadline_holds():
    set_deadline(2.0)

    assert 1.0 == budget(1.0)
    assert 1.5 < budget(10.0) <= 2.0


async def test_nothing_is_begun_when_no_time_is_left():
    set_deadline(0)

    with pytest.raises(DeadlineTooShort):
        budget(1.0)


async def test_a_block_is_ended_at_its_deadline():
    with pytest.raises(DeadlineTooShort):
        async with within(0.01):
            await asyncio.Event().wait()


async def test_inside_of_a_block_its_own_deadline_holds():
    set_deadline(100)
    async with within(1.0):
        inside = budget(50)

    assert inside <= 1.0
    assert budget(50) == 50


async def test_a_foreign_timeout_passes_as_it_is():
    with pytest.raises(TimeoutError):
        async with within(5):
            raise TimeoutError
