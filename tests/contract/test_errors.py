"""Every failure is in the catalogue, documented, and raised by a class; and no class invents a reason."""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

import services
from mailmesh.errors.v1 import error_reason_pb2
from services.meshkit.errors import MeshError
from tools.contract import Reason, reasons

# Envoy itself sends these, from its configuration; no process of mailmesh raises them.
OF_THE_EDGE = {"BODY_TOO_LARGE", "RATE_LIMITED", "ROUTE_NOT_FOUND"}


def classes(parent: type[MeshError] = MeshError) -> Iterator[type[MeshError]]:
    for child in parent.__subclasses__():
        yield child
        yield from classes(child)


def raised() -> dict[str, list[type[MeshError]]]:
    """Return the classes that name each reason, over all services."""
    for module in pkgutil.walk_packages(services.__path__, "services."):
        if module.name.endswith(".errors"):
            importlib.import_module(module.name)
    found: dict[str, list[type[MeshError]]] = {}
    for kind in classes():
        if "reason" in vars(kind) and kind.__module__.startswith("services."):
            found.setdefault(kind.reason, []).append(kind)
    return found


@pytest.mark.parametrize("reason", reasons(), ids=lambda reason: reason.name)
def test_a_reason_has_a_code_an_occasion_a_remedy_and_a_sample(reason: Reason) -> None:
    assert reason.code in grpc.StatusCode.__members__
    assert reason.sample["reason"] == reason.name
    assert reason.sample["domain"] == "mailmesh"
    assert all(isinstance(value, str) for value in reason.sample["metadata"].values())
    assert reason.when
    assert reason.remedy


def test_the_catalogue_is_read_whole() -> None:
    names = {name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name}

    assert {reason.name for reason in reasons()} == names - {"UNSPECIFIED"}


def test_every_class_of_failure_names_a_reason_of_the_catalogue_and_has_its_code() -> None:
    codes = {reason.name: reason.code for reason in reasons()}
    wrong = {
        f"{kind.__module__}.{kind.__name__}": (name, kind.code)
        for name, kinds in raised().items()
        for kind in kinds
        if codes.get(name) != kind.code
    }

    assert wrong == {}


def test_every_reason_of_the_catalogue_has_a_class() -> None:
    missing = {reason.name for reason in reasons() if not is_only_recorded(reason)} - set(raised()) - OF_THE_EDGE

    assert missing == set()


def is_only_recorded(reason: Reason) -> bool:
    """Return whether a reason is written into events and dead letters, and ends no call."""
    return "Recorded in" in reason.when


@pytest.mark.parametrize("reason", [item for item in reasons() if is_only_recorded(item)], ids=lambda item: item.name)
def test_a_reason_that_is_only_recorded_is_written_by_a_service(reason: Reason) -> None:
    folder = Path(services.__path__[0])
    sources = [path for path in folder.rglob("*.py") if f'"{reason.name}"' in path.read_text()]

    assert sources


def test_every_class_of_failure_has_a_sentence_for_the_caller() -> None:
    silent = [kind.__name__ for kinds in raised().values() for kind in kinds if not (kind.__doc__ or "").strip()]

    assert silent == []
