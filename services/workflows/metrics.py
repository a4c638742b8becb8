"""Metrics of Workflows. Labels are bounded: names of workflows from the settings, never an id."""

from prometheus_client import Counter, Gauge, Histogram

ENDED = Counter("mailmesh_workflow_runs_ended_total", "Runs that ended, by outcome.", ["workflow", "outcome"])
ATTEMPTS = Counter("mailmesh_workflow_attempts_total", "Attempts to run steps, by outcome.", ["workflow", "outcome"])
ATTEMPT_SECONDS = Histogram(
    "mailmesh_workflow_attempt_seconds",
    "From the start of an attempt to its end, its question or its failure.",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
RUNNING = Gauge("mailmesh_workflow_runs_running", "Runs whose steps this process runs now.")
THREADS_LOST = Gauge(
    "mailmesh_workflow_threads_lost",
    "Threads of plain steps that go on behind their attempts; the process ends at the bound.",
)
EVENTS_PASSED = Counter(
    "mailmesh_workflow_positions_lost_total",
    "Times that events of a workflow's filter were past retention before they started runs.",
)
