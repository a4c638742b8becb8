// The contract's own services, over gRPC-Web, at the address that served this page. The session's cookie goes along by itself.
import { createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { ConversationService } from "../../gen/ts/mailmesh/conversation/v1/conversation_service_pb.js";
import { EndpointService } from "../../gen/ts/mailmesh/delivery/v1/endpoint_service_pb.js";
import { DeadLetterService } from "../../gen/ts/mailmesh/ingest/v1/dead_letter_service_pb.js";
import { SubscriptionService } from "../../gen/ts/mailmesh/ingest/v1/subscription_service_pb.js";
import { CalendarService } from "../../gen/ts/mailmesh/processor/v1/calendar_service_pb.js";
import { EventService } from "../../gen/ts/mailmesh/processor/v1/event_service_pb.js";
import { SearchService } from "../../gen/ts/mailmesh/processor/v1/search_service_pb.js";
import { ProcessorService } from "../../gen/ts/mailmesh/processor/v1/processor_service_pb.js";
import { SendService } from "../../gen/ts/mailmesh/processor/v1/send_service_pb.js";
import { ApiKeyService } from "../../gen/ts/mailmesh/vault/v1/api_key_service_pb.js";
import { AuditService } from "../../gen/ts/mailmesh/vault/v1/audit_service_pb.js";
import { DirectoryService } from "../../gen/ts/mailmesh/vault/v1/directory_service_pb.js";
import { SessionService } from "../../gen/ts/mailmesh/vault/v1/session_service_pb.js";
import { SignInService } from "../../gen/ts/mailmesh/vault/v1/sign_in_service_pb.js";
import { TenantService } from "../../gen/ts/mailmesh/vault/v1/tenant_service_pb.js";
import { WorkflowService } from "../../gen/ts/mailmesh/workflow/v1/workflow_service_pb.js";

const transport = createGrpcWebTransport({ baseUrl: window.location.origin, defaultTimeoutMs: 60_000 });
// A stream lasts as long as its reader.
const endless = createGrpcWebTransport({ baseUrl: window.location.origin });

export const sessions = createClient(SessionService, transport);
export const signIns = createClient(SignInService, transport);
export const tenants = createClient(TenantService, transport);
export const keys = createClient(ApiKeyService, transport);
export const audit = createClient(AuditService, transport);
export const subscriptions = createClient(SubscriptionService, transport);
export const deadLetters = createClient(DeadLetterService, transport);
export const events = createClient(EventService, transport);
export const streams = createClient(EventService, endless);
export const pipeline = createClient(ProcessorService, transport);
export const sends = createClient(SendService, transport);
export const endpoints = createClient(EndpointService, transport);
export const calendars = createClient(CalendarService, transport);
export const conversations = createClient(ConversationService, transport);
export const directories = createClient(DirectoryService, transport);
export const search = createClient(SearchService, transport);
export const workflows = createClient(WorkflowService, transport);
