"""The doctor's checks of the providers' settings, without a call."""

import pytest

from stack.diagnosis.finding import Grade
from stack.diagnosis.providers import provider_findings


@pytest.mark.parametrize(
    ("prefix", "title", "grade"),
    [
        ("MAILMESH_MS365_", "Microsoft 365", Grade.WARNING),
        ("MAILMESH_GOOGLEWS_", "Google Workspace", Grade.BAD),
    ],
)
def test_a_certificate_replaces_the_secret_at_microsoft_alone(prefix: str, title: str, grade: Grade) -> None:
    settings = {f"{prefix}CLIENT_ID": "app", "MAILMESH_PUBLIC_URL": "https://mesh.example.com"}
    found = {one.name: one.grade for one in provider_findings(settings, is_simulated=False, offline=True)}
    assert grade is found[f"{title} credentials"]

    settings[f"{prefix}CLIENT_SECRET"] = "secret"
    found = {one.name: one.grade for one in provider_findings(settings, is_simulated=False, offline=True)}
    assert Grade.GOOD is found[f"{title} credentials"]
