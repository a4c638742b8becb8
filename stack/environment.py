"""The variables that the services are started with."""

from collections.abc import Mapping
from dataclasses import dataclass

from stack.addresses import EDGE, ENVOY_METRICS, Ports
from stack.certificates import Identity
from stack.data_directory import DataDirectory
from stack.ports import LOOPBACK

PASSED_PREFIXES = ("MAILMESH_", "OTEL_")
# TokenVault alone holds the keys that decrypt a credential, and the secrets that prove this installation to a provider.
VAULT_PREFIX = "MAILMESH_VAULT_"
VAULT_SUFFIX = "_CLIENT_SECRET"
# Ingest alone pulls: the key of the service account that may consume the Pub/Sub subscription.
PULL_KEYS = ("MAILMESH_GOOGLEWS_PUBSUB_KEY", "GOOGLE_APPLICATION_CREDENTIALS")
# TokenVault alone has Google sign for a service account: where google-auth finds the platform's identity.
PLATFORM_IDENTITY = ("GCE_METADATA_HOST", "GCE_METADATA_IP")
# Delivery alone holds the keys that decrypt an endpoint's signing key.
DELIVERY_KEYS_PREFIX = "MAILMESH_DELIVERY_KEYS"
# Ingest alone holds the keys that decrypt the private keys of certificates for resource data.
INGEST_KEYS_PREFIX = "MAILMESH_INGEST_KEYS"
# Workflows alone holds the keys that open the states of runs, and the API key with which their steps act.
WORKFLOWS_PREFIX = "MAILMESH_WORKFLOWS_"
# Primitives opens files of strangers: it gets no setting that it does not need.
PRIMITIVES_PREFIXES = ("MAILMESH_PRIMITIVES_", "MAILMESH_LOG_LEVEL", "MAILMESH_OTLP_ENDPOINT", "OTEL_")
# Defaults that fit one machine better than the services' own; the environment takes precedence.
ONE_MACHINE = {
    # A worker that was killed is started again at once: its mailboxes need not wait a minute for its leases to end.
    "MAILMESH_PROCESSOR_LEASE_SECONDS": "10",
}
# The application that the simulator knows: its own defaults. They open nothing but invented mailboxes.
SIMULATED_APPLICATION = {
    "MAILMESH_MS365_CLIENT_ID": "6731de76-14a6-49ae-97bc-6eba6914391e",
    "MAILMESH_MS365_CLIENT_SECRET": "simulated-ms365-secret",
    "MAILMESH_GOOGLEWS_CLIENT_ID": "418590-simulated.apps.googleusercontent.com",
    "MAILMESH_GOOGLEWS_CLIENT_SECRET": "GOCSPX-simulated-googlews-secret",
    "MAILMESH_GOOGLEWS_ISSUER": "https://accounts.google.com",
    "MAILMESH_GOOGLEWS_PUBSUB_TOPIC": "projects/mailmesh-simulator/topics/gmail",
    "MAILMESH_GOOGLEWS_PUBSUB_AUDIENCE": "mailmesh-simulator",
    "MAILMESH_GOOGLEWS_PUBSUB_SERVICE_ACCOUNT": "mailmesh-push@mailmesh-simulator.iam.gserviceaccount.com",
}


@dataclass(frozen=True)
class Servers:
    """The servers that services use.

    Attributes:
        database_urls: PostgreSQL by service, each with the service's own role.
        redis_url: Redis.
        public_url: The edge as providers and browsers see it.
    """

    database_urls: Mapping[str, str]
    redis_url: str
    public_url: str


def inherited(environment: Mapping[str, str], service: str = "") -> dict[str, str]:
    """Returns the settings in our own environment that a service is given.

    Args:
        environment: Our own environment.
        service: The service's package name; empty for the edge.
    """
    return {name: value for name, value in environment.items() if _is_for(service, name)}


def _is_for(service: str, name: str) -> bool:
    is_vaults = name.startswith(VAULT_PREFIX) or (name.startswith("MAILMESH_") and name.endswith(VAULT_SUFFIX))
    # Each process has a database role of its own, and each caller of the command line a key.
    is_nobodys = name in ("MAILMESH_DATABASE_URL", "MAILMESH_API_KEY")
    is_anothers = (
        (is_vaults and service != "token_vault")
        or (name.startswith(DELIVERY_KEYS_PREFIX) and service != "delivery")
        or (name.startswith(INGEST_KEYS_PREFIX) and service != "ingest")
        or (name.startswith(WORKFLOWS_PREFIX) and service != "workflows")
        or (name in PULL_KEYS and service != "ingest")
        or (name in PLATFORM_IDENTITY and service != "token_vault")
    )
    is_passed = name.startswith(PASSED_PREFIXES) or name in (*PULL_KEYS, *PLATFORM_IDENTITY)
    return is_passed and not is_nobodys and not is_anothers


def mesh_environment(
    service: str, identity: Identity, *, ports: Ports, servers: Servers, data: DataDirectory, ingest_names: list[str]
) -> dict[str, str]:
    """Returns the variables of every process of a service.

    Args:
        service: The service's package name, such as "token_vault".
        identity: Its identity in the mesh.
        ports: Where everything listens.
        servers: PostgreSQL, Redis and the edge.
        data: The data directory.
        ingest_names: The names of Ingest's processes among the ports.
    """
    return {
        "MAILMESH_DATABASE_URL": servers.database_urls[service],
        "MAILMESH_REDIS_URL": servers.redis_url,
        "MAILMESH_TLS_CERT": str(identity.certificate),
        "MAILMESH_TLS_KEY": str(identity.key),
        "MAILMESH_TLS_CA": str(identity.authority),
        "MAILMESH_PUBLIC_URL": servers.public_url,
        "MAILMESH_TOKEN_VAULT_ADDRESS": ports.address("token-vault"),
        # Any of Ingest's processes can answer; gRPC tries the next one when one is gone.
        "MAILMESH_INGEST_ADDRESS": "ipv4:" + ",".join(ports.address(name) for name in ingest_names)
        if len(ingest_names) > 1
        else ports.address(ingest_names[0]),
        "MAILMESH_PROCESSOR_ADDRESS": ports.address("processor"),
        "MAILMESH_DELIVERY_ADDRESS": ports.address("delivery"),
        "MAILMESH_PRIMITIVES_ADDRESS": ports.address("primitives"),
        "MAILMESH_WORKFLOWS_ADDRESS": ports.address("workflows"),
        **({"MAILMESH_VAULT_KEYS_FILE": str(data.vault_keys)} if service == "token_vault" else {}),
        **({"MAILMESH_DELIVERY_KEYS_FILE": str(data.delivery_keys)} if service == "delivery" else {}),
        **(
            {
                "MAILMESH_WORKFLOWS_KEYS_FILE": str(data.workflows_keys),
                "MAILMESH_WORKFLOWS_EDGE": f"http://{ports.address(EDGE)}",
            }
            if service == "workflows"
            else {}
        ),
        **(
            {
                "MAILMESH_INGEST_EDGE_ADMIN_URLS": f"http://{ports.address(ENVOY_METRICS)}",
                "MAILMESH_INGEST_KEYS_FILE": str(data.ingest_keys),
            }
            if service == "ingest"
            else {}
        ),
    }


def primitives_environment(environment: Mapping[str, str], identity: Identity) -> dict[str, str]:
    """Returns the variables of Primitives: its own settings and its certificate, and nothing of the mesh.

    Args:
        environment: Our own environment.
        identity: Its identity in the mesh.
    """
    own = {name: value for name, value in environment.items() if name.startswith(PRIMITIVES_PREFIXES)}
    return own | {
        "MAILMESH_TLS_CERT": str(identity.certificate),
        "MAILMESH_TLS_KEY": str(identity.key),
        "MAILMESH_TLS_CA": str(identity.authority),
    }


def listening(ports: Ports, name: str) -> dict[str, str]:
    """Returns where one process listens: its mesh port if it has one, and its metrics."""
    listen = {"MAILMESH_LISTEN": ports.address(name)} if name in ports.numbers else {}
    return listen | {"MAILMESH_METRICS_LISTEN": ports.address(f"{name}-metrics")}


def simulated_providers(ports: Ports, identity: Identity) -> dict[str, str]:
    """Returns the settings by which the services meet the simulator instead of Microsoft and Google."""
    microsoft = f"https://{LOOPBACK}:{ports['simulator-microsoft']}"
    google = f"https://{LOOPBACK}:{ports['simulator-google']}"
    return {
        **SIMULATED_APPLICATION,
        "MAILMESH_PROVIDER_CA": str(identity.authority),
        "MAILMESH_MS365_AUTHORITY": f"{microsoft}/organizations",
        "MAILMESH_MS365_GRAPH_URL": f"{microsoft}/graph/v1.0",
        "MAILMESH_GOOGLEWS_AUTH_URL": f"{google}/o/oauth2/v2/auth",
        "MAILMESH_GOOGLEWS_TOKEN_URL": f"{google}/token",
        "MAILMESH_GOOGLEWS_REVOKE_URL": f"{google}/revoke",
        "MAILMESH_GOOGLEWS_CERTS_URL": f"{google}/oauth2/v3/certs",
        "MAILMESH_GOOGLEWS_USERINFO_URL": f"{google}/v1/userinfo",
        "MAILMESH_GOOGLEWS_GMAIL_URL": f"{google}/gmail/v1",
        "MAILMESH_GOOGLEWS_CALENDAR_URL": f"{google}/calendar/v3",
        "MAILMESH_GOOGLEWS_DIRECTORY_URL": f"{google}/admin/directory/v1",
        "MAILMESH_GOOGLEWS_IAM_CREDENTIALS_URL": f"{google}/v1",
        "MAILMESH_GOOGLEWS_PUBSUB_URL": f"{google}/v1",
    }


def simulated_platform(ports: Ports) -> dict[str, str]:
    """Returns the variables by which google-auth finds the simulator's metadata server."""
    return dict.fromkeys(PLATFORM_IDENTITY, f"{LOOPBACK}:{ports['simulator-control']}")


def simulated_model(ports: Ports) -> dict[str, str]:
    """Returns the settings by which Processor meets the simulator's model."""
    return {
        "MAILMESH_PROCESSOR_MODEL_URL": f"http://{LOOPBACK}:{ports['simulator-control']}/model/v1",
        "MAILMESH_PROCESSOR_MODEL_NAME": "simulated-model",
    }
