"""The watch for new events."""

from services.meshkit import db, head_watch
from services.processor.stream.store.event_log import CHANNEL
from services.processor.stream.store.event_reader import newest_position


class HeadWatch(head_watch.HeadWatch):
    """Follows the position of the newest event.

    Args:
        pool: Connections to PostgreSQL; one of them listens.
        look_seconds: The interval at which the head is read in any case.
    """

    def __init__(self, pool: db.Pool, look_seconds: float = 5.0) -> None:
        super().__init__(pool, CHANNEL, newest_position, look_seconds=look_seconds)
