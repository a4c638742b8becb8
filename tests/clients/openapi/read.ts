// Prints all that a client generated from the OpenAPI document has decoded, as one JSON object.
// Arguments: the id of a tenant, and an id of which there is no tenant.
import { Api, type Event, type HttpResponse, type Status, type Tenant } from "./api.js";

const [tenantId, absent] = process.argv.slice(2) as [string, string];
const key = process.env["MAILMESH_API_KEY"];
const { v1 } = new Api({
  baseUrl: process.env["MAILMESH_URL"]!,
  securityWorker: () => ({ headers: { authorization: `Bearer ${key}` } }),
});

const events = (
  await v1.eventServiceListEvents({
    "filter.tenantIds": [tenantId],
    "filter.eventTypes": ["mail.*"],
    view: "EVENT_VIEW_FULL",
  })
).data;
const first: Event = events.events![0]!;
const event = (await v1.eventServiceGetEvent(first.mail!.eventId!)).data;
const renamed = (await v1.tenantServiceUpdateTenant(tenantId, { displayName: "Ünï" })).data;
// The generator takes the verb of a custom method for a variable of the path.
await v1.tenantServiceDisableTenant(tenantId, ":disable", {});
const enabled = (await v1.tenantServiceEnableTenant(tenantId, ":enable", {})).data;
const refusal: Status = await v1.tenantServiceGetTenant(absent).then(
  () => Promise.reject(new Error(`there is a tenant ${absent}`)),
  (failure: HttpResponse<unknown, Status>) => failure.error,
);
const found: Tenant = (await v1.tenantServiceGetTenant(tenantId)).data.tenant!;
console.log(
  JSON.stringify({
    tenant: { tenant: found },
    subscriptions: (await v1.subscriptionServiceListSubscriptions({ tenantId })).data,
    events,
    event,
    renamed,
    enabled,
    pipeline: (await v1.processorServiceGetPipelineStatus({})).data,
    refusal,
  }),
);
