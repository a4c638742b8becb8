"""Fixtures for all tests: a clean environment, sockets of this machine only, and the real programs."""

from hypothesis import HealthCheck, settings

# How long one example takes says more about what else runs on the machine than about the code. The examples are the
# same in each run, so that a change is blamed for what it did: `--hypothesis-profile default` asks for others, and
# MAILMESH_TEST_EXAMPLES for more.
settings.register_profile("same", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.load_profile("same")

pytest_plugins = [
    "tests.programs.garbage",
    "tests.programs.environment",
    "tests.programs.forks",
    "tests.programs.certificates",
    "tests.programs.clock",
    "tests.programs.postgres",
    "tests.programs.redis",
    "tests.programs.envoy",
    "tests.programs.simulator",
    "tests.programs.collector",
    "tests.programs.clusters",
    "tests.programs.mesh",
    "tests.programs.providers",
    "tests.programs.kept",
    "tests.programs.sharing",
]
