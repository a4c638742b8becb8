"""The check of the Pub/Sub subscription from which Gmail's notifications are pulled: its key is tried at Google."""

import asyncio
import re
import ssl
from collections.abc import Iterator, Mapping
from typing import Final

import httpx

from services.ingest.pulling.service_account import ServiceAccountTokens
from services.ingest.pulling.subscription import PullSubscription
from services.meshkit.errors import MeshError
from services.meshkit.secret import Secret
from stack.diagnosis.finding import Finding, bad, good, warning

NAME: Final = "Gmail pull"
_PATTERN: Final = re.compile(r"^projects/[^/]+/subscriptions/[^/]+$")
_URL: Final = "https://pubsub.googleapis.com/v1"
_SECONDS: Final = 30.0


def pull_findings(settings: Mapping[str, str], trust: ssl.SSLContext, *, offline: bool) -> Iterator[Finding]:
    """Checks the subscription, if one is set: its name, and with a network the key and the right to pull.

    Args:
        settings: The environment.
        trust: The trusted certificate authorities.
        offline: Whether Google must not be called.
    """
    name = settings.get("MAILMESH_GOOGLEWS_PUBSUB_SUBSCRIPTION", "")
    if not name:
        return
    if not _PATTERN.match(name):
        yield bad(
            NAME, f"{name!r} is no subscription's name", "It looks like projects/PROJECT/subscriptions/SUBSCRIPTION."
        )
    elif not settings.get("MAILMESH_GOOGLEWS_PUBSUB_TOPIC"):
        yield bad(NAME, "there is no topic", "Set MAILMESH_GOOGLEWS_PUBSUB_TOPIC to the subscription's topic.")
    elif offline:
        yield warning(NAME, f"{name} was not tried", "Run `mailmesh doctor` without --offline.")
    else:
        yield asyncio.run(_tried(settings, trust, name))


async def _tried(settings: Mapping[str, str], trust: ssl.SSLContext, name: str) -> Finding:
    key = settings.get("MAILMESH_GOOGLEWS_PUBSUB_KEY")
    tokens = ServiceAccountTokens(Secret(key) if key else None, trust)
    async with httpx.AsyncClient(verify=trust, follow_redirects=False) as http:
        subscription = PullSubscription(http, tokens, settings.get("MAILMESH_GOOGLEWS_PUBSUB_URL") or _URL, name)
        try:
            async with asyncio.timeout(_SECONDS):
                may = await subscription.may_consume()
        except MeshError as fault:
            return bad(NAME, fault.message, "Correct the settings MAILMESH_GOOGLEWS_PUBSUB_..., or the way to Google.")
        except TimeoutError:
            return bad(NAME, "Google did not answer", "Let this machine reach pubsub.googleapis.com.")
        finally:
            await subscription.aclose()
    if not may:
        remedy = "Give the service account the role Pub/Sub Subscriber on the subscription."
        return bad(NAME, f"the service account may not pull from {name}", remedy)
    return good(NAME, f"{name} can be pulled")
