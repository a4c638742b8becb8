"""Seal and open a tenant's tokens. No other part of the mesh can."""

import random
from dataclasses import replace
from datetime import datetime, timedelta

from services.meshkit.secret import Secret
from services.token_vault.issuers.issuer import TokenResponse
from services.token_vault.keys.errors import SealBroken
from services.token_vault.keys.keyring import KeyRing
from services.token_vault.keys.sealing import DataKey, unwrap
from services.token_vault.store.credentials import Credential, SealedTokens
from services.token_vault.store.tokens import NewSealedTokens

ACCESS_TOKEN = "access_token"  # noqa: S105 - the name of a field
REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the name of a field
_LONGEST_REST = timedelta(hours=23)
_JITTER = 0.2


class TokenCipher:
    """Opens stored credentials, and seals tokens for the store.

    Args:
        ring: The key-encryption keys.
        refresh_ahead: How long before its end a token is refreshed.
    """

    def __init__(self, ring: KeyRing, refresh_ahead: timedelta) -> None:
        self.ring = ring
        self._refresh_ahead = refresh_ahead

    def access_token(self, credential: Credential) -> Secret:
        """Open the access token.

        Raises:
            SealBroken: The token does not open, or does not exist.
            KeyUnavailable: The key-encryption key is not loaded.
        """
        key, tokens = self._opened(credential)
        return key.open(ACCESS_TOKEN, tokens.access_token)

    def refresh_token(self, credential: Credential) -> Secret:
        """Open the refresh token.

        Raises:
            SealBroken: The token does not open, or does not exist.
            KeyUnavailable: The key-encryption key is not loaded.
        """
        key, tokens = self._opened(credential)
        return key.open(REFRESH_TOKEN, tokens.refresh_token)

    def sealed(self, key: DataKey, tokens: TokenResponse, refresh_token: Secret, now: datetime) -> NewSealedTokens:
        """Seal tokens for the store.

        Args:
            key: The tenant's data key.
            tokens: The provider's response.
            refresh_token: The one to keep: the new one of the response, or the old one if it holds none.
            now: The time of the response.
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
        """Seal the response to a refresh with the tenant's data key. Fields that the provider omits stay unchanged."""
        key, sealed = self._opened(credential)
        refresh_token = tokens.refresh_token or key.open(REFRESH_TOKEN, sealed.refresh_token)
        new = self.sealed(key, tokens, refresh_token, now)
        return replace(new, scopes=tokens.scopes or credential.tenant.scopes or ())

    def next_refresh(self, now: datetime, expires_at: datetime) -> datetime:
        """Return the time of the next refresh: ahead of the token's end, half-way in a short life, within a day."""
        ahead = self._refresh_ahead * (1 + random.uniform(-_JITTER, _JITTER))  # noqa: S311 - spreads load
        rest = max(expires_at - ahead - now, (expires_at - now) / 2, timedelta(seconds=1))
        return now + min(rest, _LONGEST_REST)

    def _opened(self, credential: Credential) -> tuple[DataKey, SealedTokens]:
        if credential.key is None or credential.tokens is None:
            raise SealBroken(metadata={"tenant_id": credential.tenant.tenant_id})
        return unwrap(self.ring, credential.key), credential.tokens
