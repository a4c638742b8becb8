"""The keys of TokenVault and of Delivery: made on first start, kept in files that only their owner may read."""

import base64
import os
from pathlib import Path

from stack.files import write_private

VAULT_KEY_BYTES = 32


def ensure_vault_keys(path: Path, key_id: str) -> None:
    """Makes the file of a service's keys, unless it is there.

    Args:
        path: A file with one `id:base64` a line, mode 0600. Without it nothing that was sealed can be opened again.
        key_id: Id of the first key.

    Safe to call again: yes.
    """
    if not path.exists():
        write_private(path, new_vault_key(key_id) + "\n")


def new_vault_key(key_id: str) -> str:
    """Returns a new key as TokenVault and Delivery read it."""
    return f"{key_id}:{base64.urlsafe_b64encode(os.urandom(VAULT_KEY_BYTES)).decode()}"
