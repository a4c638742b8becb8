"""A generator of mails that tries to bring two customers into one conversation, with an account of its own.

The account knows the true author of each mail and the people whom a person put into each conversation. It does not ask
the rules.
"""

import random
from collections.abc import Callable

from mailmesh.mail.v1 import event_pb2, message_pb2
from tests.unit.processor.conversations.desk import AGENT, DESK, FAIL, NONE, PASS, Desk, mail

FORM = "form@web.example"
CUSTOMERS = 60
REMEMBERED = 400
_AUTO = message_pb2.AUTOMATION_KIND_AUTO_REPLY


class Adversary:
    """Plays one mailbox.

    Args:
        chance: The source of chance.
    """

    def __init__(self, chance: random.Random) -> None:
        self.desk = Desk(carriers=(FORM,))
        self.attacks = self.replies = 0
        self.wrong_merges: list[str] = []
        self.wrong_splits: list[str] = []
        self._chance = chance
        self._people = [f"customer{n}@{'shared' if n % 3 else f'c{n}'}.example" for n in range(CUSTOMERS)]
        self._number = 0
        self._mails: list[tuple[str, str, str]] = []
        self._invited: dict[str, set[str]] = {}

    def step(self) -> None:
        """Play one mail."""
        moves: tuple[Callable[[], None], ...] = (
            self._question, self._reply, self._reply, self._answer, self._answer, self._invite,
            self._stranger, self._forged, self._shared_thread, self._forward, self._machine, self._form, self._blind,
            self._token, self._agent_elsewhere, self._impostor, self._reply_to, self._loop,
        )  # fmt: skip
        self._chance.choice(moves)()

    # Genuine mail.

    def _question(self) -> None:
        self._play(self._someone(), to=(DESK,), subject=self._chance.choice(("Offer", "Help", "Invoice 1")))

    def _reply(self) -> None:
        """The requester of a conversation answers a mail in it."""
        found = self._past()
        if found is None:
            return self._question()
        message_id, conversation, _ = found
        requester = self.desk.cards[conversation].conversation.requester
        if requester not in self._people:
            return self._question()
        self.replies += 1
        joined = self._play(requester, cites=(message_id,), subject="Re: anything")
        if joined != conversation:
            self.wrong_splits.append(f"{self._number}")
        return None

    def _answer(self) -> None:
        found = self._past()
        if found is None:
            return self._question()
        requester = self.desk.cards[found[1]].conversation.requester
        self._play(DESK, to=(requester,), cites=(found[0],), is_sent=True)
        return None

    def _invite(self) -> None:
        """A requester puts another customer into a visible Cc: from then on a person has put that customer there."""
        found = self._past()
        if found is None:
            return self._question()
        requester, other = self.desk.cards[found[1]].conversation.requester, self._someone()
        if requester in self._people:
            self._play(requester, cites=(found[0],), cc=(other,))
        return None

    # Attacks: the author is a customer who was not put into the conversation, or an impostor.

    def _stranger(self) -> None:
        self._attack(self._someone(), cites=self._cited(), subject="Re: Offer")

    def _forged(self) -> None:
        """Forge the requester, or an agent, with a victim in Cc; then the victim answers."""
        found = self._past()
        if found is None:
            return
        victim, requester = self._someone(), self.desk.cards[found[1]].conversation.requester
        sender = self._chance.choice((requester, AGENT, DESK))
        proof = self._chance.choice((FAIL, NONE))
        self._attack(sender, cites=(found[0],), cc=(victim,), proof=proof, true_author="eve")
        self._attack(victim, cites=(found[0],))

    def _shared_thread(self) -> None:
        found = self._past()
        if found is not None:
            self._attack(self._someone(), thread=found[2])

    def _forward(self) -> None:
        """A requester forwards to a third party without the mailbox; the third party writes to the mailbox."""
        self._attack(self._someone(), cites=self._cited(), subject="Fwd: Offer", is_forward=True)

    def _machine(self) -> None:
        self._attack(self._someone(), cites=self._cited(), automation=_AUTO)

    def _form(self) -> None:
        self._attack(FORM, cites=self._cited(), reply_to=(author := self._someone(),), true_author=author)

    def _blind(self) -> None:
        """Someone is in Bcc of a genuine mail and answers it."""
        found = self._past()
        if found is None:
            return
        requester, other = self.desk.cards[found[1]].conversation.requester, self._someone()
        if requester in self._people:
            self._play(requester, cites=(found[0],), bcc=(other,))
            self._attack(other, cites=(str(self._number),))

    def _token(self) -> None:
        found = self._past()
        if found is not None:
            token = self.desk.cards[found[1]].conversation.reply_token
            self._attack(self._someone(), to=(f"desk+{token}@ours.example",))

    def _agent_elsewhere(self) -> None:
        """An agent writes to one customer by answering a mail of another, and the customer replies."""
        found, other = self._past(), self._someone()
        if found is not None:
            self._play(DESK, to=(other,), cites=(found[0],), is_sent=True, thread=found[2])
            self._play(other, cites=(found[0], str(self._number)))

    def _impostor(self) -> None:
        """A name like the requester's: another domain, a plus tag, dots, another case of a similar name."""
        found = self._past()
        if found is None:
            return
        local, _, domain = self.desk.cards[found[1]].conversation.requester.partition("@")
        made = self._chance.choice((f"{local}+x@{domain}", f"{local}@{domain}.evil.example", f"{local}.@{domain}"))
        # Only our own mail passes for our own domain.
        self._attack(made, cites=self._cited(), proof=FAIL if made.endswith("@ours.example") else PASS)

    def _reply_to(self) -> None:
        found = self._past()
        if found is not None:
            requester = self.desk.cards[found[1]].conversation.requester
            self._attack(self._someone(), cites=(found[0],), reply_to=(requester,))

    def _loop(self) -> None:
        """Two machines answer each other."""
        for _ in range(self._chance.randrange(1, 8)):
            self._attack(self._someone(), cites=self._cited(), automation=_AUTO)

    def _attack(self, sender: str, **given: object) -> None:
        self.attacks += 1
        self._play(sender, **given)

    def _play(self, sender: str, true_author: str = "", proof: str = PASS, **given: object) -> str:
        """Send a mail, and judge the place where it arrived. Return its conversation; empty without one."""
        self._number += 1
        thread = str(given.pop("thread", "") or f"t{self._number}")
        made: event_pb2.NormalizedMailEvent = mail(
            str(self._number),
            sender,
            proof=proof,
            thread=thread,
            days=self._number / 1_000_000,
            **given,  # type: ignore[arg-type]
        )
        taken = self.desk.receive(made)
        if taken is None:
            return ""
        conversation = taken.card.conversation
        identity, author = conversation.conversation_id, true_author or sender
        is_first = identity not in self._invited
        invited = self._invited.setdefault(identity, {conversation.requester})
        if not is_first and author not in invited and author not in (DESK, AGENT):
            self.wrong_merges.append(f"{self._number} of {author} in {conversation.requester}")
        # A person who is in the conversation by right puts others there: the requester, or we.
        if author in (conversation.requester, DESK, AGENT):
            invited.update(one.address for one in (*made.message.to, *made.message.cc))
        self._mails.append((str(self._number), identity, thread))
        del self._mails[:-REMEMBERED]
        return str(identity)

    def _someone(self) -> str:
        return self._chance.choice(self._people)

    def _past(self) -> tuple[str, str, str] | None:
        return self._chance.choice(self._mails) if self._mails else None

    def _cited(self) -> tuple[str, ...]:
        """Message ids of several conversations at once, as an adversary who has seen them would cite them."""
        return tuple(found[0] for _ in range(self._chance.randrange(1, 5)) if (found := self._past()) is not None)
