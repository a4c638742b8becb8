"""Programs in Python as forks of the supervisor: their modules are imported once, and the memory is shared.

A process that starts by itself imports some 1,200 modules, which takes longer than everything else that it does at its
start, and holds them alone. A fork starts with the modules that this process has imported.

The services are imported as well as the libraries. Importing one registers its metrics, so a fork takes those of the
others out of the registry. No module of a service may make at its import what belongs to one process: a thread, a
connection, a random id. The process that forks has one thread, no event loop, no channel and no connection; gRPC, libuv
and OpenSSL can be forked then. Settings, certificates and ports are read by the fork.
"""

import ctypes
import gc
import importlib
import os
import runpy
import signal
import sys
import traceback
from argparse import Namespace
from collections.abc import Iterable, Sequence
from typing import NoReturn

from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from stack.programs import tether
from stack.programs.program import TETHER

LIBRARIES = (
    *("aiohttp.web", "asyncpg", "attr", "cryptography.hazmat.primitives.ciphers.aead", "cryptography.x509"),
    *("email.mime.multipart", "envoy.service.auth.v3.external_auth_pb2_grpc", "google.api.httpbody_pb2"),
    *("google.auth.transport.requests", "google.oauth2.id_token", "google.protobuf.json_format"),
    *("google_auth_oauthlib.flow", "grpc.aio", "grpc_health.v1.health", "grpc_reflection.v1alpha.reflection_pb2"),
    *("grpc_status.rpc_status", "httpx", "jwt", "msal", "nh3", "oauthlib.oauth2", "opentelemetry.sdk.trace.export"),
    *("opentelemetry.trace.propagation.tracecontext", "orjson", "prometheus_client.parser", "pydantic_settings"),
    *("redis.asyncio", "requests", "starlette.applications", "structlog", "tenacity"),
    *("uvicorn.protocols.http.httptools_impl", "uvloop", "webencodings", "yaml"),
    *("mailmesh.access.v1.access_pb2", "mailmesh.errors.v1.error_reason_pb2", "mailmesh.mail.v1.event_pb2"),
    *("mailmesh.ingest.v1.inbox_service_pb2_grpc", "mailmesh.ingest.v1.subscription_service_pb2_grpc"),
    *("mailmesh.processor.v1.event_service_pb2_grpc", "mailmesh.vault.v1.tenant_service_pb2_grpc"),
    *("mailmesh.delivery.v1.endpoint_service_pb2_grpc", "mailmesh.processor.v1.event_feed_service_pb2_grpc"),
    *("mailmesh.primitives.v1.primitive_service_pb2_grpc", "services.message.mapping"),
    *("mailmesh.vault.v1.token_vault_service_pb2_grpc", "email.mime.message", "email.mime.text"),
    *("services.meshkit.channel", "services.meshkit.process", "services.meshkit.server", "services.meshkit.queue"),
)
"""The libraries of the services and of the simulated providers. A name that is missing costs time and memory only."""
SERVICES = (
    *("services.token_vault.server", "services.ingest.server", "services.processor.server"),
    *("services.processor.worker", "services.delivery.server", "services.primitives.server"),
    "services.workflows.server",
)
"""The modules that the commands of the services import, and with them all others of each service."""
# The command of a Python program behind the tether: `-I -S tether.py`.
TETHERED = (sys.executable, "-I", "-S", str(TETHER))
PR_SET_NAME = 15
_SHARED = {"files": "", "failure": ""}
"""The file of each module that forks share, with its time and size when it was imported, as lines of one text.

A fork that walked over shared objects would write into each of them, as a reference is counted in the object, and would
no longer share their pages. The failure is that of the imports, after which nothing is shared.
"""
_FOREIGN: dict[str, list[MetricWrapperBase]] = {}
"""By the package of a service: the metrics of the other services. Those of all of them for one without a name here."""
# Elsewhere the system's own libraries may not survive a fork without exec.
CAN_FORK = sys.platform.startswith("linux")
EXIT_FAILED = 1


def warm() -> None:
    """Imports libraries and services, and puts what they have made out of the reach of the search for garbage.

    The search writes into every object that it visits, and a page that is written is shared no longer. A module that
    cannot be imported stops no program but its own: all then start by exec. Safe to call again: yes.
    """
    if not CAN_FORK or any(_SHARED.values()):
        return
    try:
        for name in (*LIBRARIES, *SERVICES):
            importlib.import_module(name)
    except Exception as exc:  # noqa: BLE001 - the supervisor runs other programs too
        traceback.print_exc()
        _SHARED["failure"] = repr(exc)
        return
    files = {module.__file__ for module in list(sys.modules.values()) if getattr(module, "__file__", None)}
    _SHARED["files"] = "\n".join(f"{_mark(file)} {file}" for file in files if file)
    _FOREIGN.update((package, _foreign_metrics(package)) for package in ("", *_packages(SERVICES)))
    gc.collect()
    gc.freeze()


def _mark(file: str) -> str:
    try:
        found = os.stat(file)  # noqa: PTH116 - a path's parts are shared objects too
    except OSError:
        return "gone"
    return f"{found.st_mtime_ns}/{found.st_size}"


def _packages(modules: Iterable[str]) -> set[str]:
    return {".".join(module.split(".")[:2]) for module in modules}


def _foreign_metrics(package: str) -> list[MetricWrapperBase]:
    """Return the metrics that the modules of other services have, and no other module."""
    others = _packages(SERVICES) - {package}
    own: set[int] = set()
    foreign: dict[int, MetricWrapperBase] = {}
    for name, module in list(sys.modules.items()):
        has = getattr(module, "__dict__", {}).values()  # None is in place of absent packages
        metrics = [value for value in has if isinstance(value, MetricWrapperBase)]
        if _packages([name]) <= others:
            foreign.update((id(metric), metric) for metric in metrics)
        else:
            own.update(map(id, metrics))
    return [metric for number, metric in foreign.items() if number not in own]


def is_current() -> bool:
    """Return whether all shared modules were imported, and their files are still those that were.

    A fork reads the other modules from disk. After an update there it would run the modules of two releases together.
    """
    if _SHARED["failure"]:
        return False
    lines = (line.partition(" ") for line in _SHARED["files"].splitlines())
    return all(_mark(file) == mark for mark, _, file in lines)


def forkable(arguments: Sequence[str]) -> Namespace | None:
    """Return the options of the tether if the command starts a module of ours in Python, and None for other programs.

    Args:
        arguments: Program and arguments, as `Program.tethered_command` makes them.
    """
    if not CAN_FORK or tuple(arguments[: len(TETHERED)]) != TETHERED:
        return None
    options = tether.parse(list(arguments[len(TETHERED) :]))
    is_module = options.program[:2] == [sys.executable, "-m"]
    return options if is_module and options.user is None else None


def become(name: str, options: Namespace) -> NoReturn:
    """Turns this process, a new fork, into a Python program, and ends with it.

    Args:
        name: The name of the process, which tools such as `top` show.
        options: From `forkable`.
    """
    code = EXIT_FAILED
    try:
        _name(name)
        _forget_handlers()
        tether.prepare(options)
        _forget_metrics(options.program[2])
        code = _run(options.program[2], options.program[3:])
    except BaseException:  # noqa: BLE001 - the fork must not return into the program that it was
        traceback.print_exc()
    finally:
        _flush()
        os._exit(code)


def _name(name: str) -> None:
    ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def _forget_handlers() -> None:
    """Resets the signals that the supervisor handles, as exec does."""
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _forget_metrics(module: str) -> None:
    """Takes the metrics of the other services out of the registry, so that a service shows its own."""
    if module.startswith("services.") and _FOREIGN:
        for metric in _FOREIGN.get(module, _FOREIGN[""]):
            REGISTRY.unregister(metric)


def _run(module: str, arguments: list[str]) -> int:
    """Runs a module as `python -m` would, and returns its exit code."""
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return _exit_code(end.code)
    return 0


def _exit_code(told: object) -> int:
    if told is None:
        return 0
    if isinstance(told, int):
        return told
    print(told, file=sys.stderr)  # noqa: T201 - as the interpreter does
    return EXIT_FAILED


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            # The reader is gone.
            continue
