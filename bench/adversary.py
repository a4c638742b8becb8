"""How often an adversary brings two customers into one conversation, and how often a genuine reply is split off."""

import random
import time
from collections.abc import Sequence

from bench import measure
from bench.measure import Figure, Options
from tests.unit.processor.conversations.adversary import Adversary

MAILS, QUICK_MAILS = 100_000, 500
SEED = 20_261_127
METHOD = """A generator of mails plays a mailbox with customers, agents, forms and programs that answer, and an
adversary who knows all message ids, subjects, reply tokens and threads: forged references and senders,
strangers in Cc and Bcc, forwards, shared threads, answers of machines. It keeps its own account of the
people whom a person put into each conversation. A wrong merge is a mail of a customer in a conversation of
another one into which no person put the customer. A wrong split is a genuine, proven reply of a customer, in
time, that began a conversation of its own."""


async def program(options: Options) -> Sequence[Figure]:
    """Play the mails."""
    count = QUICK_MAILS if options.is_quick else MAILS
    adversary = Adversary(random.Random(SEED))
    before = time.process_time()
    for _ in range(count):
        adversary.step()
    spent = time.process_time() - before
    return [
        Figure("mails", count, "mails", note=f"{len(adversary.desk.cards):,} conversations"),
        Figure("attacks", adversary.attacks, "mails"),
        Figure("wrong merges", len(adversary.wrong_merges), "mails", "<= 0"),
        Figure("genuine replies", adversary.replies, "mails"),
        Figure("wrong splits", len(adversary.wrong_splits), "mails", note="of the genuine replies"),
        Figure("take in one mail", spent / count * 1e6, "us"),
    ]


if __name__ == "__main__":
    measure.main("adversary", "Does an adversary bring two customers into one conversation?", METHOD, program)
