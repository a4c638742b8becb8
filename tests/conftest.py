"""Fixtures for all tests: a clean environment, sockets of this machine only, and the real programs."""

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
