"""The meaning of metrics' labels and log lines' fields. Names and kinds come from the source."""

GROUPS = {
    "services/meshkit/": "Every process",
    "services/token_vault/": "TokenVault",
    "services/ingest/": "Ingest",
    "services/processor/metrics.py": "Processor: the workers",
    "services/processor/stream/metrics.py": "Processor: the server",
    "services/processor/search/metrics.py": "Processor: the server",
    "services/processor/model/metrics.py": "Processor: the server",
    "services/delivery/": "Delivery",
    "services/primitives/": "Primitives",
    "services/workflows/": "Workflows",
}
"""The process that serves the metrics of a folder or module."""

LABELS = {
    "bound": "the reached bound",
    "caller": "the mesh identity of the caller: `ingest` or `processor`, ...",
    "code": "gRPC's name of the status, including `OK`",
    "dependency": "`postgres` or `redis`",
    "enriched": "`true` when the event has its message",
    "event": "Graph's name of the lifecycle event; `other` for unknown names",
    "event_type": "`mail.created`, ... as in the event",
    "follower": "`search` or `conversations`",
    "loop": "name of a background loop",
    "method": "`/package.Service/Method` of the contract",
    "operation": (
        "the request to the provider, a word of the code; for Primitives `mail`, `document`, `fields`, `scan`, "
        "`quotes` or `classify`; for the named model `classify` or `extract`"
    ),
    "provider": "`ms365` or `googlews`; `unknown` if it cannot be determined",
    "queue": "name of a queue of wake-ups",
    "reason": "a name from the [catalogue of failures](errors.md)",
    "remedy": "`new_token`, `later`, `throttled`, `person`, `missing`, `cursor_lost` or `permanent`",
    "revoked": "`yes`, `before`, `not_offered`, `not_readable`, `gave_up` or `no`: the fate of the grant",
    "state": "a [state of subscriptions](../how-to/subscriptions.md)",
    "step": "the step of a subscription, a word of the code",
    "what": "the kind of removed rows",
    "where": "the RPC's method, the loop, the queue or the part of the code",
    "mailmesh_loop_runs_total.outcome": "`ok` or `failed`",
    "mailmesh_wake_ups_total.outcome": "`sent`, `dropped`, `failed`, `worked` or `work_failed`",
    "mailmesh_vault_tokens_issued_total.outcome": "`ok`, or the reason in lower case",
    "mailmesh_vault_refreshes_total.outcome": "`ok`, `grant_broken`, or the reason in lower case",
    "mailmesh_vault_authorizations_total.outcome": (
        "`connected` and the like, `unknown`, `other_browser`, or the reason in lower case"
    ),
    "mailmesh_vault_api_key_checks_total.outcome": "`ok`, or the reason in lower case",
    "mailmesh_vault_probes_total.outcome": "`ok`, or the reason in lower case",
    "mailmesh_vault_tenants.status": "a [state of tenants](../how-to/credentials.md#states)",
    "mailmesh_ingest_notifications_total.outcome": (
        "`kept`, `not_wanted`, `unknown`, `unknown_or_forged`, `unproven`, `token_refused` or `data_refused` with"
        " resource data, or why it could not be read"
    ),
    "mailmesh_ingest_subscription_health.health": (
        "`total`, `active`, `expiring`, `expired`, `silent`, `failing`, or `polled`"
    ),
    "mailmesh_ingest_subscription_health.resource": "`mail`, `calendar`, or `calendar_list`",
    "mailmesh_ingest_notification_certificates_total.change": "`made`, or `dropped` when nothing used it any more",
    "mailmesh_ingest_validation_tokens_total.check": (
        "`ok`, or the failed check: `number`, `format`, `key_id`, `signature`, `time`, `audience`, `claims`, `issuer`,"
        " `publisher`"
    ),
    "mailmesh_ingest_pulls_total.outcome": "`ok`, or the reason of the failure",
    "mailmesh_ingest_refused_total.bound": (
        "`store` for PostgreSQL, `buffered_notifications` for load, `edge` for refusals by Envoy, `publisher_keys`"
        " while Microsoft's keys cannot be fetched"
    ),
    "mailmesh_processor_calendar_meetings_today.kind": (
        "the provider's name of the kind of online meeting, `other` for a new one, `none` without an online meeting"
    ),
    "mailmesh_processor_calendar_writes_total.kind": "`create`, `respond`, `cancel` or `update`",
    "mailmesh_processor_calendar_writes_total.outcome": "`done`, `failed` or `uncertain`",
    "mailmesh_ingest_items_settled_total.outcome": "`done` or `released`",
    "mailmesh_ingest_retention_total.what": (
        "`partitions`, `keys`, `leftovers`, `discarded_items`; `strays` are mailboxes that had items and were not due"
    ),
    "mailmesh_ingest_subscription_steps_total.outcome": "`ok`, or the reason",
    "mailmesh_processor_provider_requests_total.status": "HTTP status; `none` when no answer came",
    "mailmesh_processor_long_mappings_total.outcome": (
        "`mapped`, `failed`, `took_too_long`, `process_ended`, `process_not_started`, `answer_malformed`, or `busy`"
    ),
    "mailmesh_processor_items_total.outcome": "`done`, `given_back`: for a later attempt, `buried`: as a dead letter",
    "mailmesh_processor_reconciliations_total.outcome": (
        "`done`, `paused`; at Microsoft also `incomplete` (a folder was given up), `changes`,"
        " `refused` (the listing of changes)"
    ),
    "mailmesh_processor_sends_total.outcome": "`sent`, `drafted`, `failed` or `uncertain`",
    "mailmesh_processor_classified_total.outcome": (
        "`labelled`, `unknown`, `failed` (published as unknown with a reason), or `waiting` for a later attempt"
    ),
    "mailmesh_processor_model_calls_total.outcome": "`answered`, or a name from the [catalogue of failures](errors.md)",
    "mailmesh_processor_modified_messages_total.outcome": "`done`, `not_found` or `refused`",
    "mailmesh_delivery_attempts_total.outcome": "`delivered` or `failed`",
    "mailmesh_processor_searches_total.outcome": "`ok`, or the reason in lower case",
    "mailmesh_workflow_attempts_total.workflow": "the name of the workflow in the settings",
    "mailmesh_workflow_runs_ended_total.workflow": "the name of the workflow in the settings",
    "mailmesh_workflow_attempts_total.outcome": "`succeeded`, `asked`, `failed` or `lease_lost`",
    "mailmesh_workflow_runs_ended_total.outcome": "`succeeded`, `failed` or `cancelled`",
    "mailmesh_primitives_contents_total.outcome": (
        "`read`, `cancelled`, `overloaded`, or the cause of `CONTENT_UNREADABLE`"
    ),
    "mailmesh_delivery_endpoints_ended_total.state": "`disabled` or `gone`",
    "mailmesh_processor_follower_turns_total.outcome": (
        "`done`, or the reason in lower case; `internal` for an unhandled exception"
    ),
    "mailmesh_processor_search_step_seconds.step": (
        "`find` candidates in the index, `read` up to 20 of their events, or `judge` these"
    ),
    "mailmesh_processor_tokens_total.source": "`kept` in memory, `lent` by TokenVault, or `refused`",
    "mailmesh_processor_step_seconds.step": (
        "`queued` (acceptance to first claim, of each notification), `claim`, `open`, `token`, `known`, `history`,"
        " `fetch` with `normalize` in it, `store` or `settle`"
    ),
}
"""By label; by `metric.label` the meaning for that metric in particular."""

LINE = {
    "correlation_id": "joins all lines of one request or one change, in all processes; the edge's `x-request-id`",
    "event": "the event, from the table below",
    "exception": "the traceback, if any",
    "level": "`debug`, `info`, `warning` or `error`",
    "logger": "the module",
    "service": "the process's mesh identity",
    "timestamp": "ISO 8601, UTC",
    "trace_id": "the trace, if any",
}
"""The fields of every line, or of every line that has them."""

FIELDS = {
    "after": "the schema's revision now",
    "api_key_id": "the API key of the call",
    "audit_months": "dropped months of the audit log",
    "batcher": "the name of the batcher whose group failed",
    "before": "the schema's revision before",
    "by": "the mesh identity that reported it",
    "calendar_event_id": "the event or series of a calendar",
    "calendar_id": "the calendar",
    "calendar_write_id": "the write to a calendar",
    "call_id": "the entry of a question to the named model",
    "caller": "the mesh identity on the other side of the connection",
    "cause": "the cause of the grant's end, one of mailmesh's words",
    "certificate_id": "the certificate for resource data",
    "changes": "deleted entries of the log of tenant changes",
    "characters": "the characters that the model read, those of the examples with them",
    "checked": "mails of any date whose own history id was read",
    "claimed": "how many of the expired leases were claimed",
    "data_keys": "number of data keys that the key wraps",
    "day": "the day of the partition",
    "detail": "a sentence for people: status and the provider's machine word",
    "digest": "SHA-256 of the request, which proves equality to a person who has the request",
    "endpoint_id": "the webhook endpoint",
    "error": "a reason of the catalogue, or the exception's class if it has no reason",
    "error_id": "the id that the caller received; search for it to find this line",
    "event_id": "the event of the stream",
    "event_type": "`endpoint.failing`, ... as in the event",
    "expired": "how many leases had expired",
    "failures": "the number of consecutive failures",
    "fault": "the failure that a service reported for the tenant, a reason of the catalogue",
    "faults": "the faults of the settings",
    "fence": "the fence of the lost lease",
    "finer": "the provider's finer error word",
    "follower": "the follower of the stream: `search` or `conversations`",
    "flow_id": "one attempt to connect an account",
    "flows": "deleted finished attempts",
    "grpc_code": "the gRPC status of the call",
    "is_cut": "whether mails were left unchecked because they were too many",
    "is_known": "whether the answer is one of the caller's labels",
    "is_serving": "the answer to health checks",
    "is_up": "whether the dependency answers",
    "items": "number of inbox items",
    "left_out": "number of lines of the same kind that were left out since the last one",
    "key_id": "the id of the API key in a call, of the key-encryption key in a rotation",
    "key_name": "the thumbprint of the app's certificate, the id of its service account's key, or \"secret\"",
    "ends_at": "the day on which the certificate ends",
    "key_ids": "the loaded key-encryption keys",
    "kind": "the number of the event's kind in the store",
    "lifecycle_event": "the provider's word, cut off after 50 characters",
    "listen": "the requested address",
    "loop": "name of the loop",
    "lost": "number of threads whose steps go on behind their attempts",
    "mailboxes": "number of mailboxes",
    "margin": "the score of the best label less that of the second",
    "message": "the failure's sentence",
    "messages": "number of messages",
    "method": "`/package.Service/Method`",
    "metrics_port": "the port of the metrics, 0 without metrics",
    "milliseconds": "duration of the call",
    "minutes": "number of minutes with more refusals than the bound",
    "model": "the method and the model that classified, or the name of the named model",
    "operation": "`classify` or `extract`",
    "name": "of a dependency or of the server",
    "number": "the provider's error number",
    "outcome": "the outcome of the connection attempt, or of the call of a tool",
    "port": "the chosen port",
    "possible": "the rights that a process without rights still has",
    "provider": "`ms365` or `googlews`",
    "provider_code": "the provider's own word for the broken grant",
    "public_url": "the address under which providers and browsers reach the edge",
    "queue": "name of the queue",
    "reason": "a name from the [catalogue of failures](errors.md)",
    "remedy": "the chosen remedy",
    "request_ids": "deleted request ids",
    "revoked": "the fate of the grant",
    "schema": "the migrated schema",
    "sessions": "deleted sessions of browsers, past their end",
    "since": "the start time of the reconciliation",
    "state": "the state of the endpoint now",
    "so_far": "number of rewrapped data keys",
    "subscription_id": "the subscription",
    "subscriptions": "number of due subscriptions",
    "target": "the requested revision",
    "modification_id": "the modification",
    "send_id": "the send",
    "tenant_id": "the tenant",
    "run_id": "the run of a workflow",
    "workflow": "the workflow in the settings",
    "workflows": "number of workflows in the settings",
    "tokens": "the tokens that a question to the model has spent",
    "tool": "the tool that an agent called",
    "warnings": "number of deleted warnings about endpoints",
    "why": "the class of the exception that ended its ping",
    "word": "the provider's error word",
}
"""The further fields of lines."""
