"""Settings of the providers that do not fit each other end the start, and are named."""

from typing import Any

import pytest

from services.meshkit.secret import Secret
from services.meshkit.settings import SettingsError
from services.token_vault.issuers.configured import check_providers
from services.token_vault.settings import VaultSettings

ACCOUNT, CLIENT_ID = "mailmesh@example.iam.gserviceaccount.com", "103147483648907483648"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"google_keyless_account": ACCOUNT}, "MAILMESH_GOOGLEWS_KEYLESS_CLIENT_ID"),
        ({"google_keyless_client_id": CLIENT_ID}, "MAILMESH_GOOGLEWS_KEYLESS_ACCOUNT"),
        ({"google_client_id": "id"}, "MAILMESH_GOOGLEWS_CLIENT_SECRET"),
        ({"ms365_client_secret": Secret("secret")}, "MAILMESH_MS365_CLIENT_ID"),
    ],
)
def test_a_half_of_what_goes_together_is_refused_by_name(given: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError) as refused:
        check_providers(VaultSettings.model_construct(**given))
    assert named in str(refused.value)


def test_a_keyless_service_account_needs_both_its_names() -> None:
    check_providers(VaultSettings.model_construct(google_keyless_account=ACCOUNT, google_keyless_client_id=CLIENT_ID))
