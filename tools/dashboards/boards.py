"""The dashboards: one to begin with, and one for each part."""

from collections.abc import Sequence

from tools.dashboards.panels import Dashboard, Panel

_EXPIRY = "mailmesh_ingest_subscriptions_soonest_expiry_timestamp_seconds"
_EDGE = 'envoy_http_conn_manager_prefix="edge"'


def _rate(metric: str, by: str, matching: str = "") -> tuple[str, str]:
    """Return a query of a counter's rate, and its legend."""
    chosen = f"{{{matching}}}" if matching else ""
    legend = " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(","))
    return f"sum by ({by}) (rate({metric}{chosen}[5m]))", legend


def _quantiles(metric: str, by: str = "") -> Sequence[tuple[str, str]]:
    """Return queries of a histogram's median and 95th percentile."""
    labels = f"{by}, le" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    return [
        (f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket[5m])))", f"{said}{legend}")
        for share, said in ((0.5, "half"), (0.95, "95 %"))
    ]


_LAG = Panel("Acceptance to event", _quantiles("mailmesh_processor_lag_seconds", "provider"), "s")
_QUEUE = Panel("Notifications that wait", [("max(mailmesh_ingest_pending_items)", "waiting")])
_OLDEST = Panel("Age of the oldest due notification", [("max(mailmesh_ingest_oldest_due_seconds)", "oldest")], "s")
_REFRESHES = Panel("Token refreshes by outcome", [_rate("mailmesh_vault_refreshes_total", "provider, outcome")], "cps")

OVERVIEW = Dashboard(
    "overview",
    "overview",
    [
        Panel("Processes that answer", [('sum by (job) (up{job!=""})', "{{job}}")]),
        Panel("Dependencies", [("min by (job, dependency) (mailmesh_dependency_up)", "{{job}} {{dependency}}")]),
        Panel("Firing alerts", [('sum by (alertname) (ALERTS{alertstate="firing"})', "{{alertname}}")]),
        Panel("Notifications", [("mailmesh:notifications:rate5m", "{{provider}} {{outcome}}")], "cps"),
        Panel("Events", [("mailmesh:events:rate5m", "{{provider}} {{event_type}}")], "cps"),
        _LAG,
        _QUEUE,
        _OLDEST,
        Panel("Dead letters that were not retried", [("max(mailmesh_ingest_dead_letters)", "dead letters")]),
        Panel(
            "Answers of the edge", [_rate("envoy_http_downstream_rq_xx", "envoy_response_code_class", _EDGE)], "reqps"
        ),
        Panel("Accounts", [("max by (status) (mailmesh_vault_tenants)", "{{status}}")]),
        Panel("Unhandled exceptions", [_rate("mailmesh_unexpected_errors_total", "job, where")], "cps"),
    ],
)
INGEST = Dashboard(
    "ingest",
    "ingest",
    [
        Panel("Notifications by outcome", [_rate("mailmesh_ingest_notifications_total", "provider, outcome")], "cps"),
        Panel("Notifications answered 503", [_rate("mailmesh_ingest_refused_total", "bound")], "cps"),
        Panel(
            "Notifications in memory", [("sum by (instance) (mailmesh_ingest_buffered_notifications)", "{{instance}}")]
        ),
        Panel("Commit", _quantiles("mailmesh_ingest_commit_seconds"), "s"),
        Panel("Notifications in one commit", _quantiles("mailmesh_ingest_group_notifications")),
        _QUEUE,
        _OLDEST,
        Panel("Claimed items", [("sum(rate(mailmesh_ingest_items_claimed_total[5m]))", "claimed")], "cps"),
        Panel("Settled items", [_rate("mailmesh_ingest_items_settled_total", "outcome")], "cps"),
        Panel("New dead letters", [_rate("mailmesh_ingest_items_buried_total", "reason")], "cps"),
        Panel(
            "Subscriptions", [("max by (provider, state) (mailmesh_ingest_subscriptions)", "{{provider}} {{state}}")]
        ),
        Panel(
            "Steps of subscriptions",
            [_rate("mailmesh_ingest_subscription_steps_total", "provider, step, outcome")],
            "cps",
        ),
        Panel(
            "Earliest end of a subscription",
            [
                (
                    f"min by (provider, state) ({_EXPIRY}) - time()",
                    "{{provider}} {{state}}",
                )
            ],
            "s",
        ),
        Panel("Silent subscriptions", [("sum(rate(mailmesh_ingest_silences_total[5m]))", "silent")], "cps"),
        Panel("Lifecycle notifications", [_rate("mailmesh_ingest_lifecycle_worked_total", "event")], "cps"),
    ],
)
PROCESSING = Dashboard(
    "processing",
    "processing",
    [
        Panel("Events", [_rate("mailmesh_processor_events_total", "provider, event_type")], "cps"),
        Panel(
            "Events without content yet",
            [_rate("mailmesh_processor_events_total", "provider", 'enriched="false"')],
            "cps",
        ),
        _LAG,
        Panel("Steps of an event, 95 %", _quantiles("mailmesh_processor_step_seconds", "step")[1:], "s"),
        Panel("Items by outcome", [_rate("mailmesh_processor_items_total", "outcome")], "cps"),
        Panel("Mailboxes held", [("sum by (instance) (mailmesh_processor_mailboxes_held)", "{{instance}}")]),
        Panel("Reconciliations", [_rate("mailmesh_processor_reconciliations_total", "provider, outcome")], "cps"),
        Panel("Refused commits of lost leases", [("sum(rate(mailmesh_processor_fenced_total[5m]))", "fenced")], "cps"),
        Panel("Long mails", [_rate("mailmesh_processor_long_mappings_total", "outcome")], "cps"),
        Panel("Open streams", [("sum(mailmesh_processor_streams)", "streams")]),
        Panel("Streams that the server ended", [_rate("mailmesh_processor_stream_ends_total", "reason")], "cps"),
        Panel("Days without a partition", [("max(mailmesh_processor_days_without_partition)", "days")]),
        Panel("Wake-ups", [_rate("mailmesh_wake_ups_total", "queue, outcome")], "cps"),
        Panel("Failed rounds of loops", [_rate("mailmesh_loop_runs_total", "job, loop", 'outcome="failed"')], "cps"),
        Panel("Calls by code", [_rate("mailmesh_grpc_server_handled_total", "job, code")], "reqps"),
    ],
)
PROVIDERS = Dashboard(
    "providers",
    "providers",
    [
        Panel("Requests by status", [_rate("mailmesh_processor_provider_requests_total", "provider, status")], "reqps"),
        Panel(
            "Requests by operation",
            [_rate("mailmesh_processor_provider_requests_total", "provider, operation")],
            "reqps",
        ),
        Panel("Time of requests, 95 %", _quantiles("mailmesh_processor_provider_seconds", "provider")[1:], "s"),
        Panel("Failures by remedy", [_rate("mailmesh_processor_failures_total", "provider, remedy, reason")], "cps"),
        Panel("Refused cursors", [_rate("mailmesh_processor_cursors_refused_total", "provider")], "cps"),
        Panel("Postponed lookups", [_rate("mailmesh_processor_lookups_put_off_total", "provider")], "cps"),
        _REFRESHES,
        Panel("Time of refreshes, 95 %", _quantiles("mailmesh_vault_refresh_seconds", "provider")[1:], "s"),
        Panel(
            "Threads that call a provider",
            [("sum by (provider) (mailmesh_vault_provider_threads_busy)", "{{provider}}")],
        ),
    ],
)
DELIVERY = Dashboard(
    "delivery",
    "delivery",
    [
        Panel("Attempts", [_rate("mailmesh_delivery_attempts_total", "outcome")], "cps"),
        Panel("Share of failed attempts", [("mailmesh:delivery_failures:ratio15m", "failed")], "percentunit"),
        Panel("Time of an attempt", _quantiles("mailmesh_delivery_attempt_seconds"), "s"),
        Panel("Endpoints held", [("sum by (instance) (mailmesh_delivery_endpoints_held)", "{{instance}}")]),
        Panel("Endpoints that ended", [_rate("mailmesh_delivery_endpoints_ended_total", "state")], "cps"),
        Panel("Exhausted deliveries", [("sum(rate(mailmesh_delivery_exhausted_total[5m]))", "exhausted")], "cps"),
    ],
)
VAULT = Dashboard(
    "vault",
    "vault",
    [
        Panel("Accounts", [("max by (status) (mailmesh_vault_tenants)", "{{status}}")]),
        _REFRESHES,
        Panel("Share of failed refreshes", [("mailmesh:refresh_failures:ratio15m", "{{provider}}")], "percentunit"),
        Panel("Age of the oldest due refresh", [("max(mailmesh_vault_refresh_lag_seconds)", "oldest")], "s"),
        Panel("Lent tokens", [_rate("mailmesh_vault_tokens_issued_total", "caller, outcome")], "cps"),
        Panel("Connections of accounts", [_rate("mailmesh_vault_authorizations_total", "provider, outcome")], "cps"),
        Panel("Checks of API keys", [_rate("mailmesh_vault_api_key_checks_total", "outcome")], "reqps"),
        Panel("Probes of accounts", [_rate("mailmesh_vault_probes_total", "outcome")], "cps"),
        Panel(
            "Broken seals",
            [
                ("sum(rate(mailmesh_vault_seals_broken_total[5m]))", "credentials"),
                ("sum(rate(mailmesh_processor_seals_broken_total[5m]))", "events"),
            ],
            "cps",
        ),
        Panel("Disconnected accounts", [_rate("mailmesh_vault_disconnects_total", "revoked")], "cps"),
    ],
)
SENDS_CALENDARS = Dashboard(
    "sends-calendars",
    "sends and calendars",
    [
        Panel("Sends by outcome", [_rate("mailmesh_processor_sends_total", "provider, outcome")], "cps"),
        Panel(
            "Modified mails by outcome",
            [_rate("mailmesh_processor_modified_messages_total", "provider, outcome")],
            "cps",
        ),
        Panel(
            "Calendar events",
            [_rate("mailmesh_processor_events_total", "provider, event_type", 'event_type=~"calendar.*"')],
            "cps",
        ),
        Panel(
            "Calendar events that cannot be read",
            [_rate("mailmesh_processor_calendar_events_unreadable_total", "provider, reason")],
            "cps",
        ),
        Panel(
            "Requests about calendars and sends",
            [
                _rate(
                    "mailmesh_processor_provider_requests_total",
                    "operation, status",
                    'operation=~".*(calendar|send|draft).*"',
                )
            ],
            "reqps",
        ),
    ],
)
WORKFLOWS_SEARCH = Dashboard(
    "workflows-search",
    "workflows and search",
    [
        Panel("Runs that ended", [_rate("mailmesh_workflow_runs_ended_total", "workflow, outcome")], "cps"),
        Panel("Attempts by outcome", [_rate("mailmesh_workflow_attempts_total", "workflow, outcome")], "cps"),
        Panel("Time of an attempt", _quantiles("mailmesh_workflow_attempt_seconds"), "s"),
        Panel("Runs in progress", [("sum by (instance) (mailmesh_workflow_runs_running)", "{{instance}}")]),
        Panel("Lost threads", [("sum by (instance) (mailmesh_workflow_threads_lost)", "{{instance}}")]),
        Panel("Lost places in the stream", [("sum(rate(mailmesh_workflow_positions_lost_total[5m]))", "lost")], "cps"),
        Panel("Searches by outcome", [_rate("mailmesh_processor_searches_total", "outcome")], "reqps"),
        Panel("Time of a search", _quantiles("mailmesh_processor_search_seconds"), "s"),
        Panel("Share of failed searches", [("mailmesh:search_failures:ratio15m", "failed")], "percentunit"),
        Panel("Indexed mails", [("sum(rate(mailmesh_processor_search_mails_indexed_total[5m]))", "indexed")], "cps"),
        Panel(
            "Failed turns of the indexer",
            [_rate("mailmesh_processor_follower_turns_total", "outcome", 'follower="search",outcome!="done"')],
            "cps",
        ),
    ],
)
DASHBOARDS = (OVERVIEW, INGEST, PROCESSING, PROVIDERS, DELIVERY, VAULT, SENDS_CALENDARS, WORKFLOWS_SEARCH)
