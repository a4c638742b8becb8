"""Prints all that a client generated from the OpenAPI document has decoded, encoded again, as one JSON object.

Arguments: the id of a tenant, and an id of which there is no tenant. The two siblings in TypeScript and Go do the same.
"""

import json
import os
import sys
from uuid import UUID

from mailmesh_rest import AuthenticatedClient
from mailmesh_rest.api.event_service import event_service_get_event, event_service_list_events
from mailmesh_rest.api.processor_service import processor_service_get_pipeline_status
from mailmesh_rest.api.subscription_service import subscription_service_list_subscriptions
from mailmesh_rest.api.tenant_service import (
    tenant_service_disable_tenant,
    tenant_service_enable_tenant,
    tenant_service_get_tenant,
    tenant_service_update_tenant,
)
from mailmesh_rest.models import (
    DisableTenantRequest,
    EnableTenantRequest,
    EventServiceListEventsView,
    Status,
    UpdateTenantRequest,
)

tenant, absent = map(UUID, sys.argv[1:])
client = AuthenticatedClient(
    base_url=os.environ["MAILMESH_URL"], token=os.environ["MAILMESH_API_KEY"], raise_on_unexpected_status=True
)
events = event_service_list_events.sync(
    client=client,
    filter_tenant_ids=[tenant],
    filter_event_types=["mail.*"],
    view=EventServiceListEventsView.EVENT_VIEW_FULL,
)
event = event_service_get_event.sync(UUID(events.events[0].mail.event_id), client=client)
renamed = tenant_service_update_tenant.sync(tenant, client=client, body=UpdateTenantRequest(display_name="Ünï"))
tenant_service_disable_tenant.sync(tenant, client=client, body=DisableTenantRequest())
enabled = tenant_service_enable_tenant.sync(tenant, client=client, body=EnableTenantRequest())
refusal = tenant_service_get_tenant.sync(absent, client=client)
assert isinstance(refusal, Status)
pipeline = processor_service_get_pipeline_status.sync(client=client)
subscriptions = subscription_service_list_subscriptions.sync(client=client, tenant_id=tenant)
answers = {
    "tenant": tenant_service_get_tenant.sync(tenant, client=client),
    "subscriptions": subscriptions,
    "events": events,
    "event": event,
    "renamed": renamed,
    "enabled": enabled,
    "pipeline": pipeline,
    "refusal": refusal,
}
json.dump({name: answer.to_dict() for name, answer in answers.items()}, sys.stdout)
