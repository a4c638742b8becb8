"""Scenarios: a world to begin with and steps in time, from a YAML or JSON file."""

import asyncio
import logging
from inspect import isawaitable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from simulator.control.actions import Actions, ControlError
from simulator.http import JSON

logger = logging.getLogger(__name__)


class Step(BaseModel):
    """One action at a time.

    Attributes:
        at: Seconds after the scenario's start.
        do: Name of the action, e.g. ``faults.add``.
        body: The action's arguments; ``with`` in the file.
        repeat: How often, with ``every`` seconds between.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    at: float = Field(default=0.0, ge=0)
    do: str
    body: JSON = Field(default_factory=dict, alias="with")
    repeat: int = Field(default=1, ge=1)
    every: float = Field(default=1.0, ge=0)


class ScenarioFile(BaseModel):
    """A scenario file; every part is optional."""

    model_config = ConfigDict(extra="forbid")

    settings: JSON = Field(default_factory=dict)
    accounts: list[JSON] = Field(default_factory=list)
    faults: list[JSON] = Field(default_factory=list)
    steps: list[Step] = Field(default_factory=list)


def read_file(path: Path) -> ScenarioFile:
    """Read a scenario file; JSON is YAML too."""
    return ScenarioFile.model_validate(yaml.safe_load(path.read_text()) or {})


class Scenarios:
    """Runs scenarios in the background, and constant loads."""

    def __init__(self, actions: Actions) -> None:
        self._actions = actions
        self._tasks: set[asyncio.Task[None]] = set()
        self.done: list[JSON] = []

    def register(self) -> None:
        """Add the actions that start and show scenarios and loads."""
        add = self._actions.add
        add("scenario.run", "POST", "/control/scenario", self.start_json)
        add(
            "scenario.show",
            "GET",
            "/control/scenario",
            lambda _body: {"running": len(self._tasks), "done": self.done[-1000:]},
        )
        add("scenario.stop", "DELETE", "/control/scenario", self.stop_json)
        add("load.start", "POST", "/control/load", self.start_load)

    async def run_now(self, scenario: ScenarioFile) -> None:
        """Make the world that a scenario begins with, then start its steps."""
        if scenario.settings:
            await self.perform("settings.update", scenario.settings)
        for account in scenario.accounts:
            await self.perform("accounts.create", account)
        for fault in scenario.faults:
            await self.perform("faults.add", fault)
        for step in sorted(scenario.steps, key=lambda step: step.at):
            self._start(self._run(step))

    async def start_json(self, body: JSON) -> JSON:
        """Start a scenario given as JSON."""
        scenario = ScenarioFile.model_validate(body)
        await self.run_now(scenario)
        return {"steps": len(scenario.steps)}

    async def stop_json(self, _body: JSON) -> JSON:
        """Stop all steps and loads."""
        count = len(self._tasks)
        await self.close()
        return {"stopped": count}

    def start_load(self, body: JSON) -> JSON:
        """Deliver generated mail at a steady rate: ``accounts``, ``perSecond``, ``seconds``, ``seed``."""
        rate, seconds = float(body.get("perSecond", 1)), float(body.get("seconds", 10))
        if rate <= 0 or not body.get("accounts"):
            raise ControlError(400, "needs accounts and a rate")
        self._start(self._load(body, rate, int(rate * seconds)))
        return {"mails": int(rate * seconds)}

    async def perform(self, name: str, body: JSON) -> Any:
        """Run one action and return its result."""
        result = self._actions.find(name)(dict(body))
        return await result if isawaitable(result) else result

    async def close(self) -> None:
        """Stop all steps and loads."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()):
            logger.error("a scenario's step failed: %s", failure)
            self.done.append({"failed": str(failure)})

    async def _run(self, step: Step) -> None:
        await asyncio.sleep(step.at)
        for turn in range(step.repeat):
            if turn:
                await asyncio.sleep(step.every)
            await self.perform(step.do, step.body)
        self.done.append({"at": step.at, "do": step.do})

    async def _load(self, body: JSON, rate: float, count: int) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        accounts = list(body["accounts"])
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
            one = {
                "account": accounts[number % len(accounts)],
                "first": number,
                "count": 1,
                "seed": body.get("seed", 1),
                "show": False,
            }
            await self.perform("mail.generate", one)
        self.done.append({"do": "load", "mails": count})
