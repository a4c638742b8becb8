"""Settings come from the environment, and all their faults are reported at once."""

from pathlib import Path
from typing import get_args

import pytest
from pydantic import Field, ValidationError
from pydantic_settings import SettingsConfigDict

from gateway.settings import EdgeSettings
from services.ingest.settings import IngestSettings
from services.meshkit.secret import Secret
from services.meshkit.settings import (
    CommaSeparated,
    EnvironmentSettings,
    MeshSettings,
    SettingsError,
    StoreSettings,
    bounds,
    env,
    load,
    reference,
    variables,
)
from services.processor.settings import ProcessorSettings
from services.token_vault.settings import VaultSettings

CANARY = "canary-7f3a"
NUMERIC = [
    (settings, name)
    for settings in (EdgeSettings, IngestSettings, ProcessorSettings, VaultSettings)
    for name, field in settings.model_fields.items()
    if {int, float} & set(get_args(field.annotation) or (field.annotation,))
]


class AcmeSettings(EnvironmentSettings):
    client_secret: Secret = env("MAILMESH_ACME_CLIENT_SECRET", description="Acme's secret.")
    scopes: CommaSeparated = env("MAILMESH_ACME_SCOPES", ("read", "write"), description="The scopes to ask for.")


class EchoSettings(AcmeSettings, StoreSettings):
    model_config = SettingsConfigDict(env_prefix="MAILMESH_ECHO_")

    times: int = Field(3, ge=1, le=9, description="How often.")
    pin: Secret | None = Field(None, description="For the door.")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("MAILMESH_DATABASE_URL", f"postgresql://u:{CANARY}@localhost/x")
    monkeypatch.setenv("MAILMESH_ACME_CLIENT_SECRET", CANARY)
    return monkeypatch


def test_settings_are_read_from_the_environment(environment):
    environment.setenv("MAILMESH_ECHO_TIMES", "5")
    environment.setenv("MAILMESH_ACME_SCOPES", "a, b,,c")

    settings = load(EchoSettings)

    assert (5, ("a", "b", "c"), CANARY) == (settings.times, settings.scopes, settings.client_secret.reveal())


def test_settings_are_frozen(environment):
    settings = load(EchoSettings)

    with pytest.raises(ValidationError):
        settings.times = 4


def test_an_empty_variable_is_one_that_is_not_set(environment):
    environment.setenv("MAILMESH_ECHO_TIMES", "")

    assert 3 == load(EchoSettings).times


def test_a_test_may_hand_values_in(environment):
    assert 7 == load(EchoSettings, times=7).times


def test_all_faults_are_told_at_once_by_the_names_of_their_variables(monkeypatch):
    monkeypatch.setenv("MAILMESH_ECHO_TIMES", "many")
    monkeypatch.setenv("MAILMESH_LOG_LEVEL", "loud")

    with pytest.raises(SettingsError) as caught:
        load(EchoSettings)

    assert {
        "MAILMESH_DATABASE_URL",
        "MAILMESH_LOG_LEVEL",
        "MAILMESH_ACME_CLIENT_SECRET",
        "MAILMESH_ECHO_TIMES",
    } == {fault.split()[0] for fault in caught.value.faults}


def test_a_missing_variable_is_told_with_what_it_is_for():
    with pytest.raises(SettingsError) as caught:
        load(AcmeSettings)

    assert ("MAILMESH_ACME_CLIENT_SECRET is not set. Acme's secret.",) == caught.value.faults


def test_no_fault_and_no_rendering_shows_a_secret(environment):
    environment.setenv("MAILMESH_ECHO_TIMES", CANARY)
    with pytest.raises(SettingsError) as caught:
        load(EchoSettings)
    environment.delenv("MAILMESH_ECHO_TIMES")
    settings = load(EchoSettings)

    shown = f"{caught.value}{caught.value.__cause__}{settings!r}{settings}{settings.model_dump_json()}"

    assert CANARY not in shown


def test_a_dotenv_file_is_not_read(environment, tmp_path: Path):
    (tmp_path / ".env").write_text("MAILMESH_ECHO_TIMES=9\n")
    environment.chdir(tmp_path)

    assert 3 == load(EchoSettings).times


def test_the_reference_names_every_variable_with_its_default():
    table = reference(EchoSettings)

    assert "| `MAILMESH_ECHO_TIMES` | int, 1 to 9 | `3` | How often. |" in table
    assert "| `MAILMESH_ACME_CLIENT_SECRET` | Secret | required | Acme's secret. |" in table
    assert "| `MAILMESH_ACME_SCOPES` | list | `read,write` | The scopes to ask for. |" in table
    assert "| `MAILMESH_ECHO_PIN` | Secret |  | For the door. |" in table


def test_every_common_setting_says_what_it_is():
    assert [] == [name for name, field in MeshSettings.model_fields.items() if not field.description]
    assert {"MAILMESH_"} == {variable[:9] for variable in variables(MeshSettings).values()}


@pytest.mark.parametrize("listen", ["nowhere", "127.0.0.1", "127.0.0.1:", ":7000x"])
def test_an_address_without_a_port_is_refused(listen, environment):
    environment.setenv("MAILMESH_LISTEN", listen)

    with pytest.raises(SettingsError, match="MAILMESH_LISTEN cannot be used"):
        load(MeshSettings, tls_cert="a", tls_key="b", tls_ca="c")


@pytest.mark.parametrize(("settings", "name"), NUMERIC, ids=lambda part: getattr(part, "__name__", part))
def test_every_number_has_bounds_and_its_refusal_names_the_variable(monkeypatch, settings, name):
    field = settings.model_fields[name]
    limits, variable = bounds(field), variables(settings)[name]
    low, high = limits.get("ge", limits.get("gt")), limits.get("le", limits.get("lt"))
    assert low is not None, "it has no lower bound"
    assert high is not None, "it has no upper bound"

    def faults(value: object) -> list[str]:
        monkeypatch.setenv(variable, str(value))
        try:
            load(settings)
        except SettingsError as error:
            return [fault for fault in error.faults if fault.startswith(f"{variable} cannot be used: ")]
        return []

    for bad in (low - 1, high + 1, "nan", "inf", "-inf", "1e999", "many", "1;2"):
        assert len(faults(bad)) == 1, bad
    for good in (high, field.default, *([low] if "ge" in limits else [])):
        assert faults(good) == [], good
