"""The simulated world: accounts, clients, tokens, and the parts that every provider uses."""

import ssl
import uuid
from random import Random

from simulator.accounts import Account, Accounts, Client, Provider
from simulator.calls import CallLog
from simulator.clock import Clock
from simulator.faults import Faults
from simulator.knobs import Knobs
from simulator.later import Later
from simulator.push import Pushes
from simulator.registrations import ClientCertificates, ServiceAccount
from simulator.tokens import Tokens


class World:
    """Everything there is; the parts are given to it by :mod:`simulator.app`."""

    microsoft_url: str
    google_url: str

    def __init__(self, *, knobs: Knobs, seed: int, tls: ssl.SSLContext | None) -> None:
        self.knobs = knobs
        self.seed = seed
        self.clock = Clock()
        self.later = Later(self.clock)
        self.random = Random(f"world:{seed}")
        self.faults = Faults(seed)
        self.calls = CallLog()
        self.pushes = Pushes(tls)
        self.tokens: dict[Provider, Tokens] = {"ms365": Tokens(self.clock), "googlews": Tokens(self.clock)}
        self.accounts: dict[Provider, Accounts] = {"ms365": Accounts(), "googlews": Accounts()}
        self.app_consents: dict[tuple[str, str], frozenset[str]] = {}
        self.client_certificates: dict[str, ClientCertificates] = {}
        self.service_accounts: dict[str, ServiceAccount] = {}
        self.platform_identity = ""
        self.clients: dict[Provider, dict[str, Client]] = {"ms365": {}, "googlews": {}}

    def account(self, name: str, provider: str = "") -> Account | None:
        """Return an account by id or address, of either provider when none is named."""
        found = (accounts.find(name) for key, accounts in self.accounts.items() if provider in ("", key))
        return next((account for account in found if account is not None), None)

    def stable_uuid(self, *words: str) -> str:
        """Return a GUID that is the same for the same seed and words."""
        return str(uuid.UUID(bytes=Random(":".join((str(self.seed), *words))).randbytes(16), version=4))
