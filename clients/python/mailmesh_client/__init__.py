"""Client of mailmesh. The messages and stubs of the contract are in the package `mailmesh`, which comes with it."""

from mailmesh_client.connection import connect, connect_sync
from mailmesh_client.cursors import CursorStore, FileCursorStore, MemoryCursorStore
from mailmesh_client.errors import CursorLostError, KeyRefusedError, MailmeshError, error_of, typed_errors
from mailmesh_client.following import follow, follow_sync
from mailmesh_client.rules import Backoff, FollowOptions
from mailmesh_client.webhooks import verify_webhook

__all__ = [
    "Backoff",
    "CursorLostError",
    "CursorStore",
    "FileCursorStore",
    "FollowOptions",
    "KeyRefusedError",
    "MailmeshError",
    "MemoryCursorStore",
    "connect",
    "connect_sync",
    "error_of",
    "follow",
    "follow_sync",
    "typed_errors",
    "verify_webhook",
]
