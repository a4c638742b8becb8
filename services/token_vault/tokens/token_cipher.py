"""Opens and seals a tenant's tokens. Nothing else in the mesh can."""

import random
from dataclasses import replace
from datetime import datetime, timedelta

from services.meshkit.secret import Secret
from services.token_vault.errors import SealBroken
from services.token_vault.issuers.issuer import TokenResponse
from services.token_vault.keys.keyring import KeyRing
from services.token_vault.keys.sealing import DataKey, unwrap
from services.token_vault.store.credentials import Credential, SealedTokens
from services.token_vault.store.tokens import NewSealedTokens

ACCESS_TOKEN = "access_token"  # noqa: S105 - the name of a field
REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the name of a field
_LONGEST_REST = timedelta(hours=23)
_JITTER = 0.2


class TokenCipher:
    """Turns stored credentials into tokens and back.

    Args:
        ring: The key-encryption keys.
        refresh_ahead: How long before its end a token is to be refreshed.
    """

    def __init__(self, ring: KeyRing, refresh_ahead: timedelta) -> None:
        self.ring = ring
        self._refresh_ahead = refresh_ahead

    def access_token(self, credential: Credential) -> Secret:
        """Opens the access token.

        Raises:
            SealBroken: It does not open, or is not there.
            KeyUnavailable: The key-encryption key is not loaded.
        """
        key, tokens = self._opened(credential)
        return key.open(ACCESS_TOKEN, tokens.access_token)

    def refresh_token(self, credential: Credential) -> Secret:
        """Opens the refresh token.

        Raises:
            SealBroken: It does not open, or is not there.
            KeyUnavailable: The key-encryption key is not loaded.
        """
        key, tokens = self._opened(credential)
        return key.open(REFRESH_TOKEN, tokens.refresh_token)

    def sealed(self, key: DataKey, tokens: TokenResponse, refresh_token: Secret, now: datetime) -> NewSealedTokens:
        """Seals tokens for the store.

        Args:
            key: The tenant's data key.
            tokens: What the provider gave.
            refresh_token: The one to keep: the provider's new one, or the old one where it gave none.
            now: When the tokens were had.
        """
        return NewSealedTokens(
            data_key_id=key.data_key_id,
            access_token=key.seal(ACCESS_TOKEN, tokens.access_token),
            refresh_token=key.seal(REFRESH_TOKEN, refresh_token),
            scopes=tokens.scopes,
            expires_at=tokens.expires_at,
            refresh_expires_at=tokens.refresh_expires_at,
            refreshed_at=now,
            next_refresh_at=self.next_refresh(now, tokens.expires_at),
        )

    def resealed(self, credential: Credential, tokens: TokenResponse, now: datetime) -> NewSealedTokens:
        """Seals what a refresh gave with the tenant's own data key; what the provider left out stays as it was."""
        key, sealed = self._opened(credential)
        refresh_token = tokens.refresh_token or key.open(REFRESH_TOKEN, sealed.refresh_token)
        new = self.sealed(key, tokens, refresh_token, now)
        return replace(new, scopes=tokens.scopes or credential.tenant.scopes or ())

    def next_refresh(self, now: datetime, expires_at: datetime) -> datetime:
        """Says when to refresh: some time ahead of the end, at half of a short life, within a day at most."""
        ahead = self._refresh_ahead * (1 + random.uniform(-_JITTER, _JITTER))  # noqa: S311 - spreads load
        rest = max(expires_at - ahead - now, (expires_at - now) / 2, timedelta(seconds=1))
        return now + min(rest, _LONGEST_REST)

    def _opened(self, credential: Credential) -> tuple[DataKey, SealedTokens]:
        if credential.key is None or credential.tokens is None:
            raise SealBroken(metadata={"tenant_id": credential.tenant.tenant_id})
        return unwrap(self.ring, credential.key), credential.tokens
