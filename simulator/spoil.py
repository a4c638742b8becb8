"""Notifications that faults drop, double, delay or put out of order."""

from simulator.accounts import Account
from simulator.faults import DATA_KINDS
from simulator.state import World


def spoiled(world: World, kind: str, account: Account) -> list[float]:
    """Return after how many seconds each copy of a notification leaves: normally one copy, at once."""
    waits = [0.0]
    for fault in world.faults.strike(kind, account.address, is_push=True):
        if fault.kind in DATA_KINDS:
            continue
        world.pushes.counts[f"{kind}.{fault.kind}"] += 1
        if fault.kind == "drop":
            return []
        if fault.kind == "double":
            waits.append(waits[0])
        elif fault.kind == "late":
            waits = [wait + fault.seconds for wait in waits]
        else:
            waits = [wait + world.faults.random.uniform(0, fault.seconds) for wait in waits]
    return waits
