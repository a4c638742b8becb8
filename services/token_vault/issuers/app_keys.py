"""The app's own keys, as the issuers use them: a client certificate at Microsoft, a service account's key at Google."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import structlog

from services.meshkit.secret import Secret
from services.token_vault.errors import InstallationMisconfigured

logger = structlog.get_logger(__name__)

Result = TypeVar("Result")
Credential = TypeVar("Credential")


@dataclass(frozen=True)
class AppKey:
    """A key of the app, opened.

    Args:
        credential_id: Our id.
        name: The certificate's thumbprint at Microsoft, the key's id at Google.
        account: The certificate's subject at Microsoft, the service account's address at Google.
        client_id: The application's id at Microsoft, the service account's numeric id at Google.
        certificate: The certificate as PEM; empty at Google.
        private_key: The private key as PEM (PKCS #8).
    """

    credential_id: str
    name: str
    account: str
    client_id: str
    certificate: str
    private_key: Secret


class AppKeys(Protocol):
    """The source of the app's keys."""

    async def usable(self, provider: str) -> Sequence[AppKey]:
        """Return the keys that have not expired, the newest first; none where none was added.

        Raises:
            KeyUnavailable: The key-encryption key is not loaded.
            SealBroken: A key does not open.
        """


async def by_newest(
    credentials: Sequence[tuple[str, Credential]], use: Callable[[Credential], Awaitable[Result]]
) -> Result:
    """Use the newest credential, and an older one while the provider does not know the newest yet.

    A rotation has two for a while: the new one counts here at once, and at the provider once it is added there.

    Args:
        credentials: Names and credentials, the newest first; not empty.
        use: Asks the provider with a credential.

    Raises:
        InstallationMisconfigured: The provider refuses each of them.
        Exception: As `use` raises; no other credential is tried then.
    """
    for name, credential in credentials[:-1]:
        try:
            return await use(credential)
        except InstallationMisconfigured as exc:
            logger.warning("app credential refused", key_name=name, detail=exc.metadata.get("detail", ""))
    return await use(credentials[-1][1])
