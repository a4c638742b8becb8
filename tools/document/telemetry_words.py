"""What the labels of metrics and the fields of log lines mean. Names and kinds are read from the source."""

GROUPS = {
    "services/meshkit/": "Every process",
    "services/token_vault/": "TokenVault",
    "services/ingest/": "Ingest",
    "services/processor/metrics.py": "Processor: the workers",
    "services/processor/stream/metrics.py": "Processor: the server",
}
"""Who shows the metrics that are defined in a place."""

LABELS = {
    "bound": "the bound that was reached",
    "caller": "the mesh identity that asked: `ingest` or `processor`, ...",
    "code": "gRPC's name of the status, `OK` among them",
    "dependency": "`postgres` or `redis`",
    "enriched": "`true` when the event has its message",
    "event": "Graph's name of the lifecycle event; `other` for what is not known",
    "event_type": "`mail.created`, ... as in the event",
    "loop": "name of a background loop",
    "method": "`/package.Service/Method` of the contract",
    "operation": "what was asked of the provider, a word of the code",
    "provider": "`ms365` or `googlews`; `unknown` where nobody can tell",
    "queue": "name of a queue of wake-ups",
    "reason": "a name from the [catalogue of failures](errors.md)",
    "remedy": "`new_token`, `later`, `throttled`, `person`, `missing`, `cursor_lost` or `permanent`",
    "revoked": "`yes`, `before`, `not_offered`, `not_readable`, `gave_up` or `no`: what became of the grant",
    "state": "a [state of subscriptions](../how-to/subscriptions.md)",
    "step": "what was done about a subscription: a word of the code",
    "what": "what was removed",
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
        "`kept`, `not_wanted`, `unknown`, `unknown_or_forged`, `unproven`, or why it could not be read"
    ),
    "mailmesh_ingest_refused_total.bound": (
        "`store` for PostgreSQL, `buffered_notifications` for load, `edge` for what Envoy refused before"
    ),
    "mailmesh_ingest_items_settled_total.outcome": "`done` or `released`",
    "mailmesh_ingest_retention_total.what": (
        "`partitions`, `keys`, `leftovers`, `discarded_items`; `strays` are mailboxes that had items and were not due"
    ),
    "mailmesh_ingest_subscription_steps_total.outcome": "`ok`, or the reason",
    "mailmesh_processor_provider_requests_total.status": "HTTP status; `none` when no answer came",
    "mailmesh_processor_items_total.outcome": "`done`, `given_back`: for a later attempt, `buried`: as a dead letter",
    "mailmesh_processor_reconciliations_total.outcome": "`done` or `paused`",
    "mailmesh_processor_tokens_total.source": "`kept` in memory, `lent` by TokenVault, or `refused`",
    "mailmesh_processor_step_seconds.step": (
        "`queued` (acceptance to first claim, of each notification), `claim`, `open`, `token`, `known`, `history`,"
        " `fetch` with `normalize` in it, `store` or `settle`"
    ),
}
"""By label; by `metric.label` what it is for that metric in particular."""

LINE = {
    "correlation_id": "joins all lines of one request or one change, in all processes; the edge's `x-request-id`",
    "event": "what happened, from the table below",
    "exception": "the traceback, where there is one",
    "level": "`debug`, `info`, `warning` or `error`",
    "logger": "the module",
    "service": "the process's mesh identity",
    "timestamp": "ISO 8601, UTC",
    "trace_id": "the trace, where there is one",
}
"""What stands on every line, or on every line that has it."""

FIELDS = {
    "after": "the schema's revision now",
    "audit_months": "months of the audit log that were dropped",
    "before": "the schema's revision before",
    "by": "the mesh identity that told of it",
    "caller": "the mesh identity on the other side of the connection",
    "cause": "what ended the grant, one of our words",
    "changes": "entries of the log of tenants' changes that were deleted",
    "data_keys": "how many data keys that key wraps",
    "day": "the day of the partition",
    "detail": "a sentence for people: status and the provider's machine word",
    "error": "a reason of the catalogue, or the exception's class where there is none",
    "error_id": "the id that the caller was told; it finds this line",
    "failures": "how many times in a row",
    "fault": "what a service met at the tenant, a reason of the catalogue",
    "faults": "what is wrong about the settings",
    "fence": "the fence of the hold that was lost",
    "finer": "the provider's finer error word",
    "flow_id": "one attempt to connect an account",
    "flows": "finished attempts that were deleted",
    "grpc_code": "how the call ended",
    "is_serving": "what health checks are answered",
    "is_up": "whether the dependency answers",
    "items": "how many inbox items",
    "key_id": "of a call the API key's id, of a rotation the key-encryption key's",
    "key_ids": "the key-encryption keys that are loaded now",
    "lifecycle_event": "the provider's word, cut off after 50 characters",
    "listen": "the address that was asked for",
    "loop": "name of the loop",
    "mailboxes": "how many mailboxes",
    "message": "the failure's sentence",
    "messages": "how many messages",
    "method": "`/package.Service/Method`",
    "metrics_port": "the port of the metrics, 0 when none are served",
    "milliseconds": "how long the call took",
    "minutes": "how many minutes had more refusals than the bound",
    "name": "of a dependency or of the server",
    "number": "the provider's error number",
    "outcome": "how the connection ended",
    "port": "the port that was taken",
    "provider": "`ms365` or `googlews`",
    "provider_code": "the provider's own word for the broken grant",
    "public_url": "where providers and browsers reach the edge",
    "queue": "name of the queue",
    "reason": "a name from the [catalogue of failures](errors.md)",
    "remedy": "what is done about it",
    "request_ids": "remembered request ids that were deleted",
    "revoked": "what became of the grant",
    "schema": "the schema that was moved",
    "since": "the time from which mail is compared",
    "so_far": "how many data keys were wrapped anew",
    "subscription_id": "the subscription",
    "subscriptions": "how many subscriptions are due for it",
    "target": "the revision that was wanted",
    "tenant_id": "the tenant",
    "why": "the class of the exception that its ping ended with",
    "word": "the provider's error word",
}
"""What lines say besides."""
