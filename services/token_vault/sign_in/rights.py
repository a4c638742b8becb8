"""The rights of the identity provider's groups, as the operator writes them."""

from collections.abc import Iterable
from dataclasses import dataclass

from services.meshkit.identity.caller import ALL_ABILITIES, DEFAULT_ABILITIES, Role
from services.meshkit.settings import SettingsError
from services.token_vault.abilities import checked_abilities
from services.token_vault.errors import AbilityUnknown
from services.token_vault.settings import SignInSettings

_PREFIX = "MAILMESH_VAULT_SIGN_IN"
_MOST_GROUPS = 500


@dataclass(frozen=True)
class Rights:
    """The rights of a person.

    Args:
        role: The role.
        abilities: The abilities; `*` alone means all.
    """

    role: Role
    abilities: tuple[str, ...]


class GroupRights:
    """The rights of each group.

    Args:
        by_group: The rights by the group's name or id.
    """

    def __init__(self, by_group: dict[str, Rights]) -> None:
        self._by_group = by_group

    @classmethod
    def read(cls, entries: Iterable[str]) -> "GroupRights":
        """Read the entries of `sign_in_groups`.

        Raises:
            SettingsError: An entry has another form, or names a role or an ability that does not exist.
        """
        found: dict[str, Rights] = {}
        for entry in entries:
            group, equals, text = entry.rpartition("=")
            role, _, abilities = text.partition(":")
            if not equals or not group or role.upper() not in Role.__members__ or role.upper() == Role.NONE.name:
                raise _fault("has an entry that is not GROUP=reader, GROUP=operator or GROUP=admin.")
            found[group] = Rights(Role[role.upper()], _abilities(Role[role.upper()], abilities))
        if len(found) > _MOST_GROUPS:
            raise _fault(f"names more than {_MOST_GROUPS} groups.")
        return cls(found)

    def of(self, groups: Iterable[str]) -> Rights | None:
        """Return the highest role and all abilities of a person's groups; None when no group has rights."""
        named = [self._by_group[group] for group in groups if group in self._by_group]
        if not named:
            return None
        abilities = sorted({ability for rights in named for ability in rights.abilities})
        return Rights(max(r.role for r in named), (ALL_ABILITIES,) if ALL_ABILITIES in abilities else tuple(abilities))


def _abilities(role: Role, text: str) -> tuple[str, ...]:
    """Read abilities; without any, a group has those of a new key of its role."""
    if text == ALL_ABILITIES or (not text and role is Role.ADMIN):
        return (ALL_ABILITIES,)
    try:
        return checked_abilities(tuple(text.split("+")) if text else DEFAULT_ABILITIES)
    except AbilityUnknown as exc:
        raise _fault("names an ability that this version does not have.") from exc


def _fault(text: str) -> SettingsError:
    return SettingsError([f"{_PREFIX}_GROUPS {text}"])


def require_complete(settings: SignInSettings, public_url: str) -> None:
    """Check that all settings of a sign-in are there, and that no id token can pass for an access token.

    Raises:
        SettingsError: Some are missing, or do not agree; each is named.
    """
    needed = {
        f"{_PREFIX}_CLIENT_ID": settings.sign_in_client_id,
        f"{_PREFIX}_CLIENT_SECRET": settings.sign_in_client_secret,
        f"{_PREFIX}_GROUPS": settings.sign_in_groups,
        "MAILMESH_PUBLIC_URL": public_url,
    }
    missing = [f"{name} is not set, and {_PREFIX}_ISSUER needs it." for name, value in needed.items() if not value]
    if missing:
        raise SettingsError(missing)
    if settings.sign_in_audience == settings.sign_in_client_id:
        raise SettingsError(
            [f"{_PREFIX}_AUDIENCE is the client id, which is the audience of id tokens: register agents apart."]
        )
