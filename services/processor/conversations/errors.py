"""Failures of conversations that a caller can act on."""

from services.meshkit.errors import Aborted, FailedPrecondition, NotFound


class ConversationNotFound(NotFound):
    """There is no such conversation."""

    reason = "CONVERSATION_NOT_FOUND"
    resource_type = "conversation"


class ConversationChanged(Aborted):
    """The conversation has changed since you read it. Read it again, and repeat the call if it is still meant."""

    reason = "CONVERSATION_CHANGED"


class ConversationFinal(FailedPrecondition):
    """The conversation is closed or merged, or its customer has an answer already."""

    reason = "CONVERSATION_FINAL"


class ConversationRequestersDiffer(FailedPrecondition):
    """Conversations with different requesters are not merged, nor those whose requester was erased."""

    reason = "CONVERSATION_REQUESTERS_DIFFER"


class ConversationClaimed(FailedPrecondition):
    """Another name has claimed the conversation. Its claim ends within 120 seconds."""

    reason = "CONVERSATION_CLAIMED"
