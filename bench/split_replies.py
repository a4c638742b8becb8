"""How many replies are split rightly, beside other packages; what a mail and a hostile mebibyte cost."""

import asyncio
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from bench import measure
from bench.measure import Figure, Options
from bench.replies import HELD_BACK
from services.message.bodies import Part, make_body
from services.message.bounds import Cuts
from services.message.reply_split import split
from services.message.reply_text import reply_text
from tests.unit.message.replies import REPLIES, Reply
from tests.unit.message.test_reply_split import HOSTILE, MIB, is_right

OTHERS = "MAILMESH_BENCH_REPLY_PACKAGES"
PROGRAM = Path(__file__).with_name("reply_machine.py")
METHOD = f"""Two sets of replies that were written for the purpose: the tests' set, and a set that the patterns were not
written for. A reply is right when all its new text is found in its order and nothing of the earlier mail. The other
packages get the text, or the HTML's text where they read no HTML; they run in the interpreter that `{OTHERS}` names,
when it names one. The cost of a hostile mebibyte is that of the slowest of {len(HOSTILE)} repeated pieces."""


async def program(options: Options) -> Sequence[Figure]:
    """Measure both sets."""
    sets = {"the tests' set": REPLIES, "the set held back": HELD_BACK}
    figures = [figure for name, replies in sets.items() for figure in _scores(name, replies)]
    if interpreter := os.environ.get(OTHERS):
        for name, replies in sets.items():
            figures += await _others(interpreter, name, replies)
    return [*figures, *_costs(is_quick=options.is_quick)]


def _scores(name: str, replies: Sequence[Reply]) -> list[Figure]:
    found = [reply_text(make_body([Part(text=reply.text, html=reply.html)], Cuts())) for reply in replies]
    right = sum(is_right(reply, text) for reply, text in zip(replies, found, strict=True))
    return [Figure(f"mailmesh, {name}", right, "replies", note=f"of {len(replies)}")]


async def _others(interpreter: str, name: str, replies: Sequence[Reply]) -> list[Figure]:
    texts = [make_body([Part(text=reply.text, html=reply.html)], Cuts()).text for reply in replies]
    process = await asyncio.create_subprocess_exec(
        interpreter, str(PROGRAM), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    given = [
        {"text": text, "html": reply.html, "language": reply.name} for reply, text in zip(replies, texts, strict=True)
    ]
    output, _ = await process.communicate(json.dumps(given).encode())
    if process.returncode:
        raise SystemExit(f"the packages of {interpreter} do not run")
    return [
        Figure(
            f"{package}, {name}",
            sum(is_right(reply, text) for reply, text in zip(replies, found, strict=True)),
            "replies",
            note=f"of {len(replies)}",
        )
        for package, found in json.loads(output).items()
    ]


def _costs(*, is_quick: bool) -> list[Figure]:
    texts = [reply.text for reply in REPLIES if reply.text]
    before = time.process_time()
    for text in texts:
        split(text)
    each = (time.process_time() - before) / len(texts)
    pieces = HOSTILE[:3] if is_quick else HOSTILE
    worst = max(_seconds(piece * (MIB // len(piece))) for piece in pieces)
    return [
        Figure("split one reply", each * 1e6, "us"),
        Figure("split a hostile mebibyte", worst * 1000, "ms", "<= 50"),
    ]


def _seconds(text: str) -> float:
    before = time.process_time()
    split(text)
    return time.process_time() - before


if __name__ == "__main__":
    measure.main("split_replies", "How many replies are split rightly, and at what cost?", METHOD, program)
