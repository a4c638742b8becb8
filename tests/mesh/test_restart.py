"""The whole mesh is stopped and started again, while the providers live on."""

from functools import partial
from pathlib import Path

import pytest

from tests.mesh.accounts import PROVIDERS, connect, created_events, new_address, subscribe, told_when_all_are
from tests.programs.mesh import eventually, running_mesh
from tests.programs.providers import Providers

pytestmark = pytest.mark.timeout(360)
LOAD = 40


def test_a_restart_of_the_machine_in_the_middle_of_load_loses_and_doubles_no_mail(
    providers: Providers, short_folder: Path
) -> None:
    """The machine restarts in the middle of a load; mail comes before, meanwhile, and while it is down."""
    options, environment = providers.options, providers.environment
    data = short_folder / "restart"
    wanted: dict[str, list[str]] = {}
    with running_mesh(data, *options, environment=environment) as first:
        providers.serve(first)
        accounts = {provider: new_address(first, provider) for provider in PROVIDERS}
        tenants = {provider: connect(first, provider, address) for provider, address in accounts.items()}
        for provider, tenant in tenants.items():
            subscribe(first, tenant)
            mails = providers.control.generate(accounts[provider], LOAD)
            wanted[provider] = [mail["id"] for mail in mails]
        eventually(lambda: any(created_events(first, tenant) for tenant in tenants.values()), what="the first mails")
        first.cut_power()
    for provider, address in accounts.items():
        wanted[provider] += [mail["id"] for mail in providers.control.generate(address, 3, first=LOAD)]

    with running_mesh(data, *options, environment=environment) as second:
        for provider, tenant in tenants.items():
            expected = sorted(wanted[provider])
            told = eventually(partial(told_when_all_are, second, tenant, len(expected)), 120)
            assert told == expected
