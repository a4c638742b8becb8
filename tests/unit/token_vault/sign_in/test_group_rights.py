"""The rights of groups, as the operator writes them."""

import pytest

from services.meshkit.identity.caller import Role
from services.meshkit.settings import SettingsError
from services.token_vault.settings import SignInSettings
from services.token_vault.sign_in.pages import of_failure
from services.token_vault.sign_in.rights import GroupRights, Rights, require_complete


@pytest.mark.parametrize(
    ("entry", "rights"),
    [
        ("team=reader", Rights(Role.READER, ("mail.read",))),
        ("team=admin", Rights(Role.ADMIN, ("*",))),
        ("team=operator:*", Rights(Role.OPERATOR, ("*",))),
        ("team=admin:mail.read", Rights(Role.ADMIN, ("mail.read",))),
        ("team=operator:mail.read+mail.send", Rights(Role.OPERATOR, ("mail.read", "mail.send"))),
    ],
)
def test_an_entry_has_a_role_and_abilities(entry: str, rights: Rights) -> None:
    assert GroupRights.read([entry]).of(["team"]) == rights


def test_a_person_in_several_groups_has_the_highest_role_and_all_abilities() -> None:
    read = GroupRights.read(["a=reader:calendar.read", "b=operator:mail.read", "c=admin:mail.read+mail.mark"])

    assert read.of(["a", "b"]) == Rights(Role.OPERATOR, ("calendar.read", "mail.read"))
    assert read.of(["a", "c", "other"]) == Rights(Role.ADMIN, ("calendar.read", "mail.mark", "mail.read"))
    assert read.of(["other"]) is None
    assert read.of([]) is None


def test_a_groups_name_may_have_an_equals_sign() -> None:
    assert GroupRights.read(["cn=mail=admin"]).of(["cn=mail"]) == Rights(Role.ADMIN, ("*",))


@pytest.mark.parametrize("entry", ["team", "=admin", "team=", "team=none", "team=owner", "team=reader:mail.steal"])
def test_a_malformed_entry_is_refused_at_the_start(entry: str) -> None:
    with pytest.raises(SettingsError, match="MAILMESH_VAULT_SIGN_IN_GROUPS"):
        GroupRights.read([entry])


def test_each_missing_setting_is_named() -> None:
    settings = SignInSettings.model_validate({"sign_in_issuer": "https://login.example"})

    with pytest.raises(SettingsError) as refused:
        require_complete(settings, "")

    assert [fault.split()[0] for fault in refused.value.faults] == [
        "MAILMESH_VAULT_SIGN_IN_CLIENT_ID",
        "MAILMESH_VAULT_SIGN_IN_CLIENT_SECRET",
        "MAILMESH_VAULT_SIGN_IN_GROUPS",
        "MAILMESH_PUBLIC_URL",
    ]


def test_an_id_token_cannot_have_the_audience_of_access_tokens() -> None:
    settings = SignInSettings.model_validate(
        {
            "sign_in_issuer": "https://login.example",
            "sign_in_client_id": "client",
            "sign_in_client_secret": "secret",
            "sign_in_groups": ("team=reader",),
            "sign_in_audience": "client",
        }
    )

    with pytest.raises(SettingsError, match="MAILMESH_VAULT_SIGN_IN_AUDIENCE"):
        require_complete(settings, "https://mail.example.com")


def test_an_unforeseen_failure_has_a_page_too() -> None:
    assert "could not sign you in" in of_failure("STORE_UNAVAILABLE", "").title
