"""The parts that accept resource data, built from the settings of the installation."""

from dataclasses import dataclass
from datetime import timedelta

import httpx

from services.ingest.certificates.sealer import sealer_of
from services.ingest.certificates.upkeep import Certificates
from services.ingest.resource_data.checks import ResourceDataChecks
from services.ingest.resource_data.publisher import Publisher, fetch_json
from services.ingest.settings import IngestSettings
from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.settings import SettingsError


@dataclass(frozen=True)
class ResourceData:
    """The parts.

    Attributes:
        certificates: The certificates for which Graph encrypts.
        checks: Checks notifications.
    """

    certificates: Certificates
    checks: ResourceDataChecks


def resource_data_of(
    settings: IngestSettings, pool: db.Pool, client: httpx.AsyncClient, clock: Clock
) -> ResourceData | None:
    """Return the parts, or None where the installation accepts no resource data.

    Raises:
        SettingsError: It accepts resource data, and keys or the application's id are missing.
    """
    if not settings.resource_data:
        return None
    if not settings.ms365_client_id:
        raise SettingsError(["MAILMESH_MS365_CLIENT_ID is not set: MAILMESH_INGEST_RESOURCE_DATA needs it."])
    sealer = sealer_of(settings.keys, settings.keys_file)
    certificates = Certificates(pool, sealer, timedelta(days=settings.certificate_days), clock)
    publisher = Publisher(
        fetch_json(client),
        authority=settings.ms365_authority,
        audience=settings.ms365_client_id,
        publisher_id=settings.ms365_publisher_id,
        sts_url=settings.ms365_sts_url,
    )
    return ResourceData(certificates, ResourceDataChecks(publisher, certificates))
