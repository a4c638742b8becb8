"""The values that the steps of an authorization flow return and take."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from services.meshkit.errors import MeshError
from services.meshkit.secret import Secret


@dataclass(frozen=True)
class Wanted:
    """A request to connect an account.

    Args:
        provider: The provider; may be empty for a reconnect.
        tenant_id: The tenant of a reconnect, or empty.
        login_hint: The address to suggest, or empty.
        display_name: The tenant's name, or empty for the account's own.
        abilities: The abilities to ask for; empty for the default.
    """

    provider: str
    tenant_id: str
    login_hint: str
    display_name: str
    abilities: tuple[str, ...]


@dataclass(frozen=True)
class Started:
    """A flow that waits for a browser."""

    flow_id: str
    url: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True)
class Offered:
    """A valid ticket, for the page with the button.

    Args:
        flow_id: The flow.
        provider: Its provider.
        cookie: The browser's secret.
        proof: The proof for the form that the page and the cookie belong together.
    """

    flow_id: str
    provider: str
    cookie: Secret
    proof: str = field(repr=False)


@dataclass(frozen=True)
class Opened:
    """The redirect of a browser to the provider.

    Args:
        url: The provider's page.
        cookie_name: The name of the cookie that binds the flow to the browser.
        cookie: Its value.
    """

    url: str = field(repr=False)
    cookie_name: str
    cookie: Secret


@dataclass(frozen=True)
class Returned:
    """The request with which a browser returns from the provider.

    Args:
        provider: From the address.
        state: Empty without one.
        code: Empty without one.
        refusal: The failure that the provider's error code stands for, or None.
        cookies: All cookies that the browser sent for this path.
        is_admin_consent: Whether the provider says so; it says so of a refusal too.
        directory_id: The organisation that the answer names, which proves nothing.
    """

    provider: str
    state: str = field(repr=False)
    code: str = field(repr=False)
    refusal: MeshError | None
    cookies: Mapping[str, str] = field(repr=False)
    is_admin_consent: bool = False
    directory_id: str = ""
