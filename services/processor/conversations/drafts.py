"""Events of conversations for the stream."""

from datetime import datetime

from mailmesh.conversation.v1 import conversation_pb2, event_pb2
from services.processor.conversations.intake import Change, stamp
from services.processor.stream.publish import EventDraft

BY_MAIL = "mail"


def draft(
    change: Change,
    provider: str,
    account: tuple[str, str],
    now: datetime,
    correlation_id: str,
    *,
    actor: str,
    message: conversation_pb2.ConversationMessage | None = None,
    bounce: event_pb2.ConversationBounce | None = None,
) -> EventDraft:
    """Return the draft of a change: one event for each version of a conversation, and for each report in one.

    Args:
        change: The change.
        provider: The tenant's provider.
        account: The provider's ids of the organisation and of the user.
        now: The time.
        correlation_id: The id of the mail's change or of the call.
        actor: `BY_MAIL`, or the id of a key.
        message: The message that caused it.
        bounce: The report of a bounce, which is no change of the conversation.
    """
    conversation = change.conversation
    event = event_pb2.ConversationEvent(
        provider=provider,
        tenant_id=conversation.tenant_id,
        external_tenant_id=account[0],
        user_id=account[1],
        event_type=change.event_type,
        received_at=stamp(now),
        correlation_id=correlation_id,
        conversation=conversation,
        message=message,
        actor=actor,
        other_conversation_id=change.other,
        send_id=change.send_id,
        bounce=bounce,
        reason=change.reason,
    )
    mark = str(conversation.version) if bounce is None else f"bounced:{bounce.report_message_id}"
    return EventDraft(conversation=event, change_id=f"{conversation.conversation_id}:{mark}")
