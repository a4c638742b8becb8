"""Prometheus with mailmesh's rules, and a page that draws mailmesh's dashboards from its query API.

The page is a console template, which Prometheus itself serves: the page and the API have one origin, and nothing more
is needed to show the dashboards. Grafana draws the same files better where it is at hand.
"""

import http.client
import json
import re
import shutil
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stack.errors import StartError
from stack.files import write_private, write_private_json
from stack.ports import LOOPBACK
from stack.programs.program import Program

PAGE = "/consoles/index.html"
JOBS = {"envoy": "edge"}
KEPT_DAYS, KEPT_BYTES = 7, "512MB"
_REPOSITORY = Path(__file__).resolve().parents[2]
_READY_SECONDS = 2.0
# In Prometheus's templates two braces are a command; the page knows these brackets.
_LEGEND = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True)
class PrometheusServer:
    """A Prometheus process that reads the processes of one stack.

    Attributes:
        folder: Its configuration and its data.
        port: Its port on the loopback interface.
        metrics: The address of each process's metrics, by the process's name.
        interval_seconds: Time between two readings.
    """

    folder: Path
    port: int
    metrics: Mapping[str, str]
    interval_seconds: int = 15

    def program(self) -> Program:
        """Writes the configuration, and returns Prometheus as a program to run.

        Raises:
            StartError: No Prometheus is installed.
        """
        self._write()
        return Program(
            name="prometheus",
            command=(
                prometheus_binary(),
                f"--config.file={self.folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.folder / 'data'}",
                f"--storage.tsdb.retention.time={KEPT_DAYS}d",
                f"--storage.tsdb.retention.size={KEPT_BYTES}",
                f"--web.listen-address={LOOPBACK}:{self.port}",
                # By default, every website that the user's browser opens may read the answers.
                f"--web.cors.origin=http://{re.escape(LOOPBACK)}:{self.port}",
                f"--web.console.templates={self.folder / 'consoles'}",
                f"--web.console.libraries={self.folder / 'consoles'}",
                "--log.level=warn",
            ),
            is_ready=self.is_ready,
        )

    @property
    def url(self) -> str:
        """The address of the page with the dashboards."""
        return page_url(self.port)

    def is_ready(self) -> bool:
        """Says whether Prometheus answers queries."""
        try:
            with closing(http.client.HTTPConnection(LOOPBACK, self.port, timeout=_READY_SECONDS)) as connection:
                connection.request("GET", "/-/ready")
                return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False

    def _write(self) -> None:
        for name in ("targets", "consoles"):
            (self.folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        shipped = shipped_folder("prometheus")
        shutil.rmtree(self.folder / "rules", ignore_errors=True)
        shutil.copytree(shipped / "rules", self.folder / "rules")
        text = (shipped / "prometheus.yml").read_text(encoding="utf-8")
        write_private(
            self.folder / "prometheus.yml", text.replace("_interval: 15s", f"_interval: {self.interval_seconds}s")
        )
        write_private_json(self.folder / "targets/mesh.json", [target(*one) for one in sorted(self.metrics.items())])
        write_private(self.folder / "consoles/index.html", page())


def target(process: str, url: str) -> dict[str, Any]:
    """Returns a process as the shipped configuration's files of targets name it."""
    parts = urlsplit(url)
    return {"targets": [parts.netloc], "labels": {"job": job_of(process), "__metrics_path__": parts.path}}


def job_of(process: str) -> str:
    """Returns the job of a process: `ingest` of `ingest-1`."""
    return JOBS.get(process, process.rstrip("0123456789").rstrip("-"))


def page_url(port: int) -> str:
    """Returns the address of the page with the dashboards."""
    return f"http://{LOOPBACK}:{port}{PAGE}"


def page() -> str:
    """Returns the page: the panels of deploy/grafana, and the script that draws them."""
    boards = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(shipped_folder("grafana").glob("*.json"))]
    # The overview comes first, the others by name.
    boards.sort(key=lambda board: (board["uid"] != "mailmesh-overview", board["uid"]))
    panels = json.dumps([_board(board) for board in boards]).replace("<", "\\u003c")
    return files("stack.programs").joinpath("dashboards.html").read_text(encoding="utf-8").replace("PANELS", panels)


def _board(board: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": board["title"].removeprefix("mailmesh: "),
        "panels": [
            {
                "title": panel["title"],
                "unit": panel["fieldConfig"]["defaults"]["unit"],
                "queries": [[one["expr"], _LEGEND.sub(r"[\1]", one["legendFormat"])] for one in panel["targets"]],
            }
            for panel in board["panels"]
        ],
    }


def shipped_folder(part: str) -> Path:
    """Returns the folder deploy/prometheus or deploy/grafana: of the repository, or as it was installed."""
    repository = _REPOSITORY / "deploy" / part
    return repository if repository.is_dir() else Path(__file__).with_name("watch_files") / part


def prometheus_binary() -> str:
    """Returns the path of the `prometheus` command: on the path, else where `make setup` has laid it.

    Raises:
        StartError: There is none.
    """
    laid = _REPOSITORY / ".cache/prometheus/bin/prometheus"
    found = shutil.which("prometheus") or (str(laid) if laid.exists() else None)
    if found is None:
        raise StartError(
            "--watch-ui needs Prometheus: install the package `prometheus`, or put the program on the path"
        )
    return found
