"""How many mails get the right label from a few examples, and what a mail costs."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from statistics import median

import psutil

from bench import measure
from bench.labelled_mails import EXAMPLES, MAILS, OTHERS
from bench.measure import Figure, Options
from mailmesh.primitives.v1 import primitive_service_pb2 as pb2
from services.message.labels import UNKNOWN
from services.primitives.sandbox.confine import Confinement
from services.primitives.sandbox.pool import Sandbox, SandboxLimits

LIMITS = SandboxLimits(1, 50, Confinement(1024 * 1024 * 1024, 50.0, 65534, has_model=True))
LABELS = [pb2.ClassifyLabel(name=name, examples=examples) for name, examples in EXAMPLES.items()]
GIVEN = [(label, language, text) for label, mails in MAILS.items() for language, text in mails]
LENGTHS = (100, 400, 1500)
SIZES = (2, 3, 4)
METHOD = f"""{len(GIVEN)} mails of {len(MAILS)} labels in English, German, French and Japanese, written for the purpose,
and {len(OTHERS)} mails that belong to none; three examples of each label, in English and German only. The default
margin was chosen on these mails, so the figures with it are a bound and no promise. The baseline counts runs of 2 to 4
characters, weighted by rarity, and compares centroids too. A call goes to a process without rights and back; that
process knows the examples."""


async def program(options: Options) -> Sequence[Figure]:
    """Measure the labels and the time."""
    async with Sandbox.open(LIMITS) as sandbox:
        began = time.perf_counter()
        await _classified(sandbox, GIVEN[0][2])
        first = time.perf_counter() - began
        answers, seconds = [], []
        for _, _, text in GIVEN * (1 if options.is_quick else options.repeats):
            began = time.perf_counter()
            answers.append(await _classified(sandbox, text))
            seconds.append(time.perf_counter() - began)
        others = [(await _classified(sandbox, text)).label for text in OTHERS]
        return [
            *_labels(answers[: len(GIVEN)], others),
            *_times(first, sorted(seconds)),
            *[await _length(sandbox, length) for length in LENGTHS],
            Figure("resident memory of the process", _memory(), "MiB"),
        ]


async def _classified(sandbox: Sandbox, text: str) -> pb2.ClassifyMessageResponse:
    request = pb2.ClassifyMessageRequest(text=text, labels=LABELS)
    return pb2.ClassifyMessageResponse.FromString(await sandbox.run("classify", request.SerializeToString()))


def _labels(answers: Sequence[pb2.ClassifyMessageResponse], others: Sequence[str]) -> Iterator[Figure]:
    best = [max(answer.scores, key=lambda score: score.score).label for answer in answers]
    yield from _right("nearest label right", best)
    yield from _right("baseline of characters right", [_by_characters(text) for _, _, text in GIVEN])
    pairs = [(label, answer.label) for (label, _, _), answer in zip(GIVEN, answers, strict=True)]
    note = f"of {len(GIVEN)}"
    yield Figure("with the default margin, right", sum(label == found for label, found in pairs), "mails", note=note)
    wrong = sum(found not in (label, UNKNOWN) for label, found in pairs)
    yield Figure("with the default margin, wrong", wrong, "mails", note=note)
    yield Figure("mails of no label that are unknown", others.count(UNKNOWN), "mails", note=f"of {len(OTHERS)}")


def _right(name: str, found: Sequence[str]) -> Iterator[Figure]:
    right = Counter(language for (label, language, _), one in zip(GIVEN, found, strict=True) if label == one)
    sizes = Counter(language for _, language, _ in GIVEN)
    note = ", ".join(f"{language} {right[language]} of {sizes[language]}" for language in sizes)
    yield Figure(name, right.total(), "mails", note=f"of {len(GIVEN)}: {note}")


def _times(first: float, seconds: Sequence[float]) -> Iterator[Figure]:
    length = median(len(text) for _, _, text in GIVEN)
    yield Figure("first call, with the start of the process and the examples", first * 1000, "ms")
    yield Figure("a call, median", median(seconds) * 1000, "ms", "<= 40", f"{length:.0f} characters, the median mail")
    yield Figure("a call, p99", seconds[int(len(seconds) * 0.99)] * 1000, "ms")


async def _length(sandbox: Sandbox, length: int) -> Figure:
    text = (" ".join(text for _, language, text in GIVEN if language == "en") * 2)[:length]
    began = time.perf_counter()
    for _ in range(3):
        await _classified(sandbox, text)
    return Figure(f"a call, {length:,} characters of English", (time.perf_counter() - began) / 3 * 1000, "ms")


def _memory() -> float:
    return max(child.memory_info().rss for child in psutil.Process().children()) / 2**20


def _runs(text: str) -> Counter[str]:
    folded = f" {' '.join(text.casefold().split())} "
    return Counter(folded[at : at + size] for size in SIZES for at in range(len(folded) - size + 1))


def _weigher() -> Callable[[str], dict[str, float]]:
    known = [set(_runs(example)) for examples in EXAMPLES.values() for example in examples]
    found = Counter(run for runs in known for run in runs)

    def weights(text: str) -> dict[str, float]:
        counted = _runs(text)
        rarity = {run: math.log((1 + len(known)) / (1 + found[run])) + 1 for run in counted}
        return _unit({run: (1 + math.log(count)) * rarity[run] for run, count in counted.items()})

    return weights


def _unit(values: dict[str, float]) -> dict[str, float]:
    length = math.sqrt(sum(value * value for value in values.values()))
    return {name: value / length for name, value in values.items()}


_WEIGHTS = _weigher()


def _centroid(examples: Sequence[str]) -> dict[str, float]:
    total: dict[str, float] = {}
    for example in examples:
        for run, value in _WEIGHTS(example).items():
            total[run] = total.get(run, 0) + value
    return _unit(total)


_CENTROIDS = {label: _centroid(examples) for label, examples in EXAMPLES.items()}


def _by_characters(text: str) -> str:
    weights = _WEIGHTS(text)
    return max(
        _CENTROIDS, key=lambda label: sum(value * _CENTROIDS[label].get(run, 0) for run, value in weights.items())
    )


if __name__ == "__main__":
    measure.main("classify_messages", "How many mails get the right label, and what does a mail cost?", METHOD, program)
