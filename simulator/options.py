"""The options of the simulator's command line."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator.accounts import Client, Provider


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command line."""

    cert: Path
    key: Path
    ca: Path | None = None
    microsoft_port: int = 0
    google_port: int = 0
    control_port: int = 0
    ready_file: Path | None = None
    push_endpoint: str = ""
    seed: int = 1
    scenario: Path | None = None
    state: Path | None = None
    accounts: tuple[tuple[str, str], ...] = (("ms365", "anna@contoso.test"), ("googlews", "carla@fabrikam.test"))
    mail: Path | None = None
    old_mails: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    microsoft_client_id: str = "6731de76-14a6-49ae-97bc-6eba6914391e"
    microsoft_public_client_id: str = "0f8a9c1e-4a53-4d62-9a0b-7c1d2e3f4a5b"
    google_client_id: str = "418590-simulated.apps.googleusercontent.com"
    microsoft_secret: str = field(default="simulated-ms365-secret", repr=False)
    google_secret: str = field(default="GOCSPX-simulated-googlews-secret", repr=False)
    topic: str = "projects/mailmesh-simulator/topics/gmail"
    audience: str = "mailmesh-simulator"
    service_account: str = "mailmesh-push@mailmesh-simulator.iam.gserviceaccount.com"
    consumer_account: str = "mailmesh-pull@mailmesh-simulator.iam.gserviceaccount.com"

    def clients(self) -> dict[Provider, Client]:
        """Return the application that is registered at each provider."""
        return {
            "ms365": Client(self.microsoft_client_id, self.microsoft_secret),
            "googlews": Client(self.google_client_id, self.google_secret),
        }
