"""The checks of Gmail's topic, and of the Pub/Sub subscription that is pulled: its key is tried at Google."""

import asyncio
import os
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

PUBLISHER: Final = "gmail-api-push@system.gserviceaccount.com"
TOPIC: Final = re.compile(r"^projects/[^/]+/topics/[^/]+$")
NAME: Final = "Gmail pull"
_PATTERN: Final = re.compile(r"^projects/[^/]+/subscriptions/[^/]+$")
_URL: Final = "https://pubsub.googleapis.com/v1"
_SECONDS: Final = 30.0
_KEY: Final = "MAILMESH_GOOGLEWS_PUBSUB_KEY"
_FILE: Final = "GOOGLE_APPLICATION_CREDENTIALS"


def gmail_findings(
    settings: Mapping[str, str], trust: ssl.SSLContext, *, offline: bool, is_running: bool
) -> Iterator[Finding]:
    """Checks how Gmail's notifications come, where Google is offered or something about them is set.

    Args:
        settings: Ingest's environment.
        trust: The trusted certificate authorities.
        offline: Whether Google must not be called.
        is_running: Whether the settings are those of a running Ingest, and our own credentials are not tried.
    """
    names = ("CLIENT_ID", "PUBSUB_TOPIC", "PUBSUB_SUBSCRIPTION")
    if any(settings.get(f"MAILMESH_GOOGLEWS_{name}") for name in names):
        yield _topic(settings)
        yield from pull_findings(settings, trust, offline=offline, is_running=is_running)


def _topic(settings: Mapping[str, str]) -> Finding:
    topic = settings.get("MAILMESH_GOOGLEWS_PUBSUB_TOPIC", "")
    account = settings.get("MAILMESH_GOOGLEWS_PUBSUB_SERVICE_ACCOUNT", "")
    if not topic:
        remedy = f"Make a Pub/Sub topic, let {PUBLISHER} publish to it, set MAILMESH_GOOGLEWS_PUBSUB_TOPIC."
        return warning("Gmail topic", "there is none: Gmail is polled", remedy)
    if not TOPIC.match(topic):
        return bad("Gmail topic", f"{topic!r} is no topic's name", "It looks like projects/PROJECT/topics/TOPIC.")
    if not account and settings.get("MAILMESH_GOOGLEWS_PUBSUB_SUBSCRIPTION"):
        return good("Gmail topic", f"{topic}, pulled: pushes are refused")
    if not account:
        remedy = (
            "Set MAILMESH_GOOGLEWS_PUBSUB_SERVICE_ACCOUNT to the account that signs the push subscription's tokens."
        )
        return bad("Gmail topic", "any Google account could push: no service account is expected", remedy)
    return good("Gmail topic", f"{topic}, pushed by {account}")


def pull_findings(
    settings: Mapping[str, str], trust: ssl.SSLContext, *, offline: bool, is_running: bool
) -> Iterator[Finding]:
    """Checks the subscription, if one is set: its name, and with a network the key and the right to pull.

    See `gmail_findings` for the arguments.
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
    elif is_running and not settings.get(_KEY) and not settings.get(_FILE):
        remedy = f"The platform's identity is Ingest's alone: see the alert MailmeshPullsStopped, or set {_KEY}."
        yield warning(NAME, f"{name} was not tried: no key is set", remedy)
    else:
        if settings.get(_FILE):  # Google's library reads it from our own environment
            os.environ[_FILE] = settings[_FILE]
        yield asyncio.run(_tried(settings, trust, name))


async def _tried(settings: Mapping[str, str], trust: ssl.SSLContext, name: str) -> Finding:
    key = settings.get(_KEY)
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
