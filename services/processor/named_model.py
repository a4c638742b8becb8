"""The composition of the named model: its server by the settings, the guarded way out, and the service for callers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from yarl import URL

from mailmesh.primitives.v1.quote_service_pb2_grpc import QuoteServiceAsyncStub
from mailmesh.processor.v1 import model_service_pb2
from mailmesh.processor.v1.model_service_pb2_grpc import add_ModelServiceServicer_to_server
from services.egress.addresses import EgressRules
from services.egress.client import EgressClient
from services.egress.urls import url_fault
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.loops import PeriodicLoop
from services.meshkit.process import background
from services.meshkit.secret import Secret
from services.meshkit.server import MeshServer
from services.meshkit.settings import SettingsError
from services.meshkit.shares import Shares
from services.processor.model.endpoint import ModelAddress, ModelEndpoint
from services.processor.model.requests import Models
from services.processor.model.retention import ModelCallRetention
from services.processor.servicers.model import ModelServicer
from services.processor.settings import ProcessorSettings

_RETENTION_SECONDS = 60.0
_USER_AGENT = "mailmesh-model"
_PREFIX = "MAILMESH_PROCESSOR_MODEL"


@asynccontextmanager
async def with_model(
    server: MeshServer, settings: ProcessorSettings, pool: db.Pool, quotes: QuoteServiceAsyncStub | None
) -> AsyncIterator[None]:
    """Add ModelService, and delete old entries of calls while the block runs.

    Args:
        server: A server that is not started yet.
        settings: Processor's settings.
        pool: Connections to PostgreSQL.
        quotes: Looks quotes up in a text; None without the address of Primitives.

    Raises:
        SettingsError: The settings of the model contradict each other.
    """
    clock = SystemClock()
    shares = Shares("model_calls", settings.model_calls, settings.model_calls_per_key)
    async with endpoint_of(settings) as endpoint:
        server.add(
            add_ModelServiceServicer_to_server,
            ModelServicer(Models(pool, endpoint, quotes, shares, settings.model_tokens_per_day, clock)),
            model_service_pb2.DESCRIPTOR.services_by_name["ModelService"],
        )
        retention = PeriodicLoop("model-calls", _RETENTION_SECONDS, ModelCallRetention(pool, clock).round)
        async with background(retention.run()):
            yield


@asynccontextmanager
async def endpoint_of(settings: ProcessorSettings) -> AsyncIterator[ModelEndpoint | None]:
    """Open the way to the model that the settings name; None when they name none.

    Raises:
        SettingsError: The address, the networks, the key's file or the name is missing or wrong.
    """
    if not settings.model_url:
        yield None
        return
    address, rules = address_of(settings), rules_of(settings)
    if fault := url_fault(address.url, rules):
        raise SettingsError([f"{_PREFIX}_URL: {fault}."])
    async with EgressClient.open(rules, authority=settings.model_ca, user_agent=_USER_AGENT) as client:
        yield ModelEndpoint(client, address, settings.model_seconds, settings.model_attempts)


def address_of(settings: ProcessorSettings) -> ModelAddress:
    """Read the model from the settings. Raises SettingsError."""
    if not settings.model_name:
        raise SettingsError([f"{_PREFIX}_NAME is missing: {_PREFIX}_URL is set."])
    if settings.model_key_file is None:
        return ModelAddress(settings.model_url, settings.model_name)
    try:
        key = Secret(settings.model_key_file.read_text("utf-8").strip())
    except (OSError, ValueError) as exc:
        raise SettingsError([f"{_PREFIX}_KEY_FILE: the file cannot be read, or is empty."]) from exc
    return ModelAddress(settings.model_url, settings.model_name, key)


def rules_of(settings: ProcessorSettings) -> EgressRules:
    """Read the addresses that the model may have: public ones, the operator's networks, a loopback address by name.

    Raises:
        SettingsError: A network is malformed.
    """
    own = settings.model_networks
    if not ModelAddress(settings.model_url, settings.model_name).is_outside:
        own = (*own, str(URL(settings.model_url).host))
    try:
        return EgressRules.read(own=own)
    except ValueError as exc:
        raise SettingsError([f"{_PREFIX}_NETWORKS: {exc}."]) from exc
