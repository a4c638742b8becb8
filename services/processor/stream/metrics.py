"""Metrics of the server. Labels are bounded: they are reasons of the error catalogue."""

from prometheus_client import Counter, Gauge

STREAMS = Gauge("mailmesh_processor_streams", "Streams of events that are open now.")
STREAM_ENDS = Counter("mailmesh_processor_stream_ends_total", "Streams that the server ended, by reason.", ["reason"])
REPLAYED = Counter("mailmesh_processor_replayed_events_total", "Events that were appended again.")
DROPPED_PARTITIONS = Counter("mailmesh_processor_dropped_partitions_total", "Days of events that retention dropped.")
STRAY_DAYS = Gauge("mailmesh_processor_days_without_partition", "Days ahead whose partition could not be made.")
FOLLOWER_LAG_SECONDS = Gauge(
    "mailmesh_processor_follower_lag_seconds",
    "Age of the oldest event that a follower of the stream has not read, in its process that reads.",
    ["follower"],
)
FOLLOWER_TURNS = Counter(
    "mailmesh_processor_follower_turns_total", "Turns of tenants in a follower of the stream.", ["follower", "outcome"]
)
SEALS_BROKEN = Counter(
    "mailmesh_processor_seals_broken_total",
    "Sealed events and sends that did not open, each time that one was read.",
)
CLASSIFIED = Counter(
    "mailmesh_processor_classified_total", "Arriving mails that a label was asked for, by outcome.", ["outcome"]
)
