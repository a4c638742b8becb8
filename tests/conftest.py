"""Fixtures for all tests: a clean environment, sockets of this machine only, and the real programs."""

from hypothesis import HealthCheck, settings

# How long one example takes says more about what else runs on the machine than about the code.
settings.register_profile("mailmesh", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mailmesh")

pytest_plugins = [
    "tests.programs.environment",
    "tests.programs.certificates",
    "tests.programs.clock",
    "tests.programs.postgres",
    "tests.programs.redis",
    "tests.programs.envoy",
    "tests.programs.simulator",
    "tests.programs.collector",
    "tests.programs.mesh",
    "tests.programs.kept",
    "tests.programs.sharing",
]
