"""A process without rights classifies texts: the answer is one of the caller's labels, whatever the text says."""

from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from bench.labelled_mails import EXAMPLES, MAILS, OTHERS
from mailmesh.primitives.v1 import primitive_service_pb2 as pb2
from services.message.labels import UNKNOWN
from services.primitives.sandbox.confine import Confinement
from services.primitives.sandbox.pool import Sandbox, SandboxLimits
from services.primitives.servicers.label_checks import check_classify, is_closed
from tests.unit.primitives.attacks import ATTACKS

pytestmark = pytest.mark.asyncio(loop_scope="module")
LIMITS = SandboxLimits(1, 120, Confinement(1024 * 1024 * 1024, 60.0, 65534, has_model=True))
LABELS = [pb2.ClassifyLabel(name=name, examples=examples) for name, examples in EXAMPLES.items()]
INVOICE = MAILS["invoice"][1][1]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox.open(LIMITS) as opened:
        yield opened


async def classified(
    sandbox: Sandbox, text: str, labels: Sequence[pb2.ClassifyLabel] = LABELS, **fields: object
) -> pb2.ClassifyMessageResponse:
    request = pb2.ClassifyMessageRequest(text=text, labels=labels, **fields)  # type: ignore[arg-type]
    check_classify(request)
    answer = pb2.ClassifyMessageResponse.FromString(await sandbox.run("classify", request.SerializeToString()))
    assert is_closed(request, answer)
    return answer


async def test_the_process_that_classifies_has_no_rights(sandbox: Sandbox) -> None:
    assert await sandbox.run("probe", b"") == b""


async def test_mails_of_four_languages_get_their_label_from_examples_in_two(sandbox: Sandbox) -> None:
    right: dict[str, int] = {}
    for label, mails in MAILS.items():
        for language, text in mails:
            answer = await classified(sandbox, text, minimum_margin=0)
            right[language] = right.get(language, 0) + (answer.label == label)

    assert sum(right.values()) >= 54, right
    assert min(right.values()) >= 10, right


async def test_by_default_a_small_margin_is_unknown(sandbox: Sandbox) -> None:
    given = [(label, (await classified(sandbox, text)).label) for label in MAILS for _, text in MAILS[label]]
    others = [(await classified(sandbox, text)).label for text in OTHERS]

    assert sum(label == found for label, found in given) >= 45
    assert sum(found not in (label, UNKNOWN) for label, found in given) <= 1
    assert others.count(UNKNOWN) >= 10


async def test_no_attack_gets_an_answer_out_of_the_labels_or_changes_a_later_answer(sandbox: Sandbox) -> None:
    before = await classified(sandbox, INVOICE)

    assert len(set(ATTACKS)) >= 60
    for attack in ATTACKS:
        assert (await classified(sandbox, attack)).label in {*EXAMPLES, UNKNOWN}, ascii(attack)
    assert await classified(sandbox, INVOICE) == before
    assert before.label == "invoice"


async def test_a_text_behind_a_nul_or_a_control_character_is_read(sandbox: Sandbox) -> None:
    plain = await classified(sandbox, f"Hello {INVOICE}")
    for separator in ("\0", "\x1b", "\u202e", "\u200b", "\ud7ff\n"):
        answer = await classified(sandbox, f"Hello{separator}{INVOICE}")
        assert answer.label == plain.label, ascii(separator)


async def test_a_long_text_is_cut_and_costs_no_more_than_a_short_one_may(sandbox: Sandbox) -> None:
    answer = await classified(sandbox, INVOICE + " " + "x" * 260_000)

    assert answer.is_text_cut
    assert not (await classified(sandbox, INVOICE)).is_text_cut


async def test_equal_requests_have_equal_answers_and_a_margin_of_one_is_never_met(sandbox: Sandbox) -> None:
    first = await classified(sandbox, INVOICE, subject="Your bill")

    assert await classified(sandbox, INVOICE, subject="Your bill") == first
    assert (await classified(sandbox, INVOICE, minimum_margin=1)).label == UNKNOWN
    assert (await classified(sandbox, "\u200b")).label == UNKNOWN


async def test_labels_without_examples_stand_for_themselves(sandbox: Sandbox) -> None:
    labels = [pb2.ClassifyLabel(name=name) for name in ("invoice", "job application")]

    assert (await classified(sandbox, INVOICE, labels, minimum_margin=0)).label == "invoice"
