"""The settings of the named model: what is inside of the machine, and which settings contradict each other."""

from pathlib import Path
from typing import Any

import pytest

from services.meshkit.secret import Secret
from services.meshkit.settings import SettingsError, load
from services.processor.model.endpoint import ModelAddress
from services.processor.named_model import address_of, endpoint_of, rules_of
from services.processor.settings import ProcessorSettings


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    for name in ("TLS_CERT", "TLS_KEY", "TLS_CA"):
        monkeypatch.setenv(f"MAILMESH_{name}", str(tmp_path))
    for name in ("DATABASE_URL", "REDIS_URL", "TOKEN_VAULT_ADDRESS", "INGEST_ADDRESS"):
        monkeypatch.setenv(f"MAILMESH_{name}", "x")

    def made(**given: str) -> ProcessorSettings:
        for name, value in {"url": "https://models.example/v1", "name": "m", **given}.items():
            monkeypatch.setenv(f"MAILMESH_PROCESSOR_MODEL_{name.upper()}", value)
        return load(ProcessorSettings)

    return made


@pytest.mark.parametrize(
    ("url", "is_outside"),
    [
        ("http://127.0.0.1:11434/v1", False),
        ("http://[::1]:11434/v1", False),
        ("http://localhost:11434/v1", True),
        ("http://127.0.0.1.example:11434/v1", True),
        ("http://127.0.0.1@models.example/v1", True),
        ("https://10.0.0.5/v1", True),
        ("https://models.example/v1", True),
    ],
)
def test_only_a_loopback_address_in_digits_is_inside(url: str, *, is_outside: bool) -> None:
    assert ModelAddress(url, "m").is_outside is is_outside


async def test_the_key_is_read_from_its_file_and_does_not_print(settings: Any, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("planted\n")
    address = address_of(settings(key_file=str(file)))

    assert Secret("planted") == address.key
    assert "planted" not in repr(address) + str(settings())


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"name": ""}, "MODEL_NAME"),
        ({"key_file": "/nowhere/key"}, "MODEL_KEY_FILE"),
        ({"networks": "10.0.0.1/8"}, "MODEL_NETWORKS"),
        ({"url": "http://models.example/v1"}, "MODEL_URL"),
        ({"url": "https://10.0.0.5/v1"}, "MODEL_URL"),
        ({"url": "ftp://127.0.0.1/v1"}, "MODEL_URL"),
        ({"url": "https://user:word@models.example/v1"}, "MODEL_URL"),
    ],
)
async def test_settings_that_cannot_work_are_refused_by_name(settings: Any, given: dict[str, str], fault: str) -> None:
    with pytest.raises(SettingsError, match=fault):
        async with endpoint_of(settings(**given)):
            pass


async def test_without_an_address_there_is_no_model(settings: Any) -> None:
    async with endpoint_of(settings(url="")) as endpoint:
        assert endpoint is None


def test_the_operators_networks_and_the_named_loopback_address_are_allowed_and_no_other(settings: Any) -> None:
    inside = rules_of(settings(url="http://127.0.0.2:8000/v1"))
    outside = rules_of(settings(networks="10.1.0.0/16"))

    assert inside.allows("127.0.0.2", is_encrypted=False)
    assert not inside.allows("127.0.0.1", is_encrypted=False)
    assert outside.allows("10.1.2.3", is_encrypted=False)
    assert not outside.allows("10.2.2.3")
    assert not outside.allows("127.0.0.1")
