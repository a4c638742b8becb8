"""Pushes of the simulated providers: each one that was put in goes out."""

import asyncio
import json

from simulator.push import Lane, Parcel, Pushes, Rules


def one_at_a_time() -> Rules:
    return Rules(
        compose=lambda items: (json.dumps(list(items)).encode(), {}),
        accepted=(200,),
        batch_max=1,
        wait_seconds=0,
        timeout_seconds=lambda _tries: 1.0,
        give_up_seconds=10.0,
        retry_first_seconds=1.0,
        retry_max_seconds=1.0,
        concurrency=1,
        pending_max=10,
    )


class AtTheLastMoment(Lane):
    """A lane into which an item is put while its runner ends."""

    delivered: list[str]

    async def _deliver(self, parcel: Parcel, rules: Rules) -> None:
        self.delivered += parcel.items
        self.pending -= len(parcel.items)
        if parcel.items == ["first"]:
            # It runs when the runner has checked for more, and before the runner counts as ended.
            asyncio.get_running_loop().call_soon(self.put, "second")


async def test_an_item_that_comes_while_the_runner_ends_goes_out() -> None:
    lane = AtTheLastMoment("mail", "http://127.0.0.1:1/hook", Pushes(None), one_at_a_time)
    lane.delivered = []
    lane.put("first")
    for _ in range(20):
        await asyncio.sleep(0)

    assert ["first", "second"] == lane.delivered
