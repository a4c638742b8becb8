"""Start Primitives: `python -m services.primitives serve`."""

import asyncio
import sys

import services.meshkit.absent  # noqa: F401 - before structlog and httpx
from services.meshkit.process import run


async def serve(stop: asyncio.Event) -> None:
    """Serve the primitives until `stop` is set."""
    from services.primitives.server import serve as serve_until  # noqa: PLC0415 - usage needs no server

    await serve_until(stop)


def main(arguments: list[str]) -> int:
    """Run the command that the arguments name, and return the exit code."""
    if arguments != ["serve"]:
        print("usage: python -m services.primitives serve", file=sys.stderr)  # noqa: T201 - for the person who starts it
        return 2
    return run(serve)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
