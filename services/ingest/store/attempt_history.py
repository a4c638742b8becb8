"""The history of an item's attempts: appended in SQL; the last 20 are kept."""

MAX_ATTEMPTS = 20
_TIME_FORMAT = 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'

LEASE_EXPIRED = "LEASE_EXPIRED"


def appended(history: str, started_at: str, worker_id: str, reason: str, detail: str) -> str:
    """Return the SQL of a history with one more attempt.

    Args:
        history: SQL of the history so far, jsonb.
        started_at: SQL of the attempt's start, timestamptz.
        worker_id: SQL of the worker, text.
        reason: SQL of the attempt's result, text.
        detail: SQL of an explaining sentence, text.
    """
    entry = (
        f"jsonb_build_object('started_at', to_char({started_at} AT TIME ZONE 'UTC', '{_TIME_FORMAT}'),"
        f" 'worker_id', {worker_id}, 'reason', {reason}, 'detail', {detail})"
    )
    return (
        f"(CASE WHEN jsonb_array_length({history}) >= {MAX_ATTEMPTS} THEN {history} - 0 ELSE {history} END) || {entry}"
    )
