"""The event about a send, as far as it is the same for each kind."""

from mailmesh.processor.v1 import event_pb2
from services.processor.outbox.rows import SendRow


def send_event(row: SendRow, account: tuple[str, str], event_type: str) -> event_pb2.SendEvent:
    """Return an event with what is known of the send.

    Args:
        row: The send.
        account: The account's tenant and user at the provider, as `tenants.account_of` reads them.
        event_type: Such as "send.sent".
    """
    external_tenant_id, user_id = account
    return event_pb2.SendEvent(
        provider=row.provider,
        tenant_id=row.tenant_id,
        external_tenant_id=external_tenant_id,
        user_id=user_id,
        event_type=event_type,
        correlation_id=row.correlation_id,
        send_id=row.send_id,
        idempotency_key=row.idempotency_key,
        message_id=row.message_id,
        internet_message_id=row.internet_message_id,
        provider_thread_id=row.provider_thread_id,
    )
