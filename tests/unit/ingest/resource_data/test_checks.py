"""A POST's tokens speak for the accounts of their own organisation only."""

import pytest

from services.ingest.resource_data.checks import ResourceDataChecks
from services.ingest.resource_data.publisher import Publisher
from services.ingest.webhooks.microsoft import GraphChange
from services.ingest.webhooks.outcomes import TOKEN_REFUSED
from tests.unit.ingest.resource_data.test_publisher import LOGIN, PUBLISHER, TENANT, Microsoft, token

ANOTHER = "11d2a6b5-0000-4000-8000-00000000000b"


def change(stated: str) -> GraphChange:
    return GraphChange("s", b"", "created", "m", "e", b"{}", external_tenant_id=stated)


@pytest.fixture
def checks() -> ResourceDataChecks:
    publisher = Publisher(
        Microsoft().fetch,
        authority=f"{LOGIN}/organizations",
        audience="our-app",
        publisher_id=PUBLISHER,
        sts_url="https://sts.windows.net",
    )
    return ResourceDataChecks(publisher, None)  # type: ignore[arg-type] # the notifications have no data


@pytest.mark.parametrize("account", [TENANT, TENANT.lower()])
async def test_a_notification_of_the_accounts_organisation_is_kept(checks: ResourceDataChecks, account: str) -> None:
    one = change(TENANT)

    assert {one: one} == await checks.check({one: account}, [token()])


@pytest.mark.parametrize(
    ("stated", "account"),
    [(TENANT, ANOTHER), (ANOTHER, TENANT), (ANOTHER, ANOTHER), ("", TENANT), (TENANT, ""), ("", "")],
)
async def test_a_token_of_one_organisation_proves_nothing_about_an_account_of_another(
    checks: ResourceDataChecks, stated: str, account: str
) -> None:
    one = change(stated)

    assert {one: TOKEN_REFUSED} == await checks.check({one: account}, [token()])
