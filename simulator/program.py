"""The simulator as a program: its three servers in one event loop, until a signal stops them."""

import asyncio
import json
import signal
import sys
import time

from simulator.app import Simulator
from simulator.control.scenario import read_file
from simulator.files import write_private
from simulator.guard import Guard
from simulator.memory import Memory
from simulator.options import Options
from simulator.serving import HOST, Server, listen, make_server

SAVE_SECONDS = 5.0


async def run(options: Options) -> None:
    """Serve until SIGTERM or SIGINT."""
    simulator = Simulator(options)
    sockets = [listen(port) for port in (options.microsoft_port, options.google_port, options.control_port)]
    ports = [listener.getsockname()[1] for listener in sockets]
    simulator.world.microsoft_url = f"https://{HOST}:{ports[0]}"
    simulator.world.google_url = f"https://{HOST}:{ports[1]}"
    memory = simulator.memory(options.state) if options.state else None
    if memory:
        memory.recall()
    simulator.populate()
    if options.scenario:
        await simulator.scenarios.run_now(read_file(options.scenario))
    servers = [
        make_server(Guard(simulator.microsoft), (options.cert, options.key)),
        make_server(Guard(simulator.google), (options.cert, options.key)),
        make_server(Guard(simulator.control), None),
    ]
    serving = [asyncio.create_task(server.serve([listener])) for server, listener in zip(servers, sockets, strict=True)]
    stop = _stop_event(serving)
    await _started(servers, serving)
    ready = simulator.describe(f"http://{HOST}:{ports[2]}")
    if options.ready_file:
        write_private(options.ready_file, json.dumps(ready, indent=2))
    print(  # noqa: T201 - says where it is
        f"simulator: microsoft {ready['microsoftUrl']} google {ready['googleUrl']} control {ready['controlUrl']}",
        flush=True,
    )
    await _remember(memory, stop)
    await _stop(simulator, servers, serving)
    simulator.world.later.finish()
    if memory:
        memory.save()


async def _remember(memory: Memory | None, stop: asyncio.Event) -> None:
    """Save periodically until the stop event; the longer a save takes, the longer the pause after it.

    While the disk is full, the world stays in memory: a provider goes on as well when its customer's disk is full.
    """
    pause, failed = SAVE_SECONDS, ""
    while not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), pause)
        except TimeoutError:
            began = time.monotonic()
            try:
                if memory:
                    memory.save()
                failed = ""
            except OSError as error:
                if str(error) != failed:
                    print(f"simulator: the state is not saved: {error}; trying again", file=sys.stderr)  # noqa: T201
                failed = str(error)
            pause = max(SAVE_SECONDS, 100 * (time.monotonic() - began))


def _stop_event(serving: "list[asyncio.Task[None]]") -> asyncio.Event:
    """Return an event that a signal sets, or a server that ends by itself."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    for task in serving:
        task.add_done_callback(lambda _task: stop.set())
    return stop


async def _started(servers: list[Server], serving: "list[asyncio.Task[None]]") -> None:
    while not all(server.started for server in servers):
        if any(task.done() for task in serving):
            msg = "a server did not start"
            raise RuntimeError(msg)
        await asyncio.sleep(0.01)


async def _stop(simulator: Simulator, servers: list[Server], serving: "list[asyncio.Task[None]]") -> None:
    await simulator.scenarios.close()
    await simulator.world.pushes.close()
    for server in servers:
        server.should_exit = True
    await asyncio.gather(*serving, return_exceptions=True)
