"""Accounts that no owner connects: of an organisation at each provider, and one that a connected person may open."""

import json
import tempfile
from pathlib import Path
from typing import Any

from tests.mesh.accounts import connect
from tests.mesh.console.walking import CHROMIUM
from tests.programs.mesh import Mesh

ENVIRONMENT = {"MAILMESH_MS365_SHARED_MAILBOXES": "true"}
_SCOPES = ("admin.directory.user.readonly", "userinfo.email", "gmail.readonly", "gmail.modify")


def connecting(mesh: Mesh) -> dict[str, Any]:
    """Prepare a person with a shared mailbox, and an organisation at Google that has granted delegation."""
    for address in ("ada@box.test", "info@box.test", "closed@box.test"):
        mesh.simulator.add_account("ms365", address, delegates=["ada@box.test"] if address.startswith("info") else [])
    return {
        "url": mesh.ready.http,
        "key": mesh.key,
        "chromium": CHROMIUM,
        "control": mesh.simulator.url,
        "shared": {
            "person": connect(mesh, "ms365", "ada@box.test"),
            "box": "info@box.test",
            "closed": "closed@box.test",
        },
        "organisation": _organisation(mesh, "org.test"),
    }


def _organisation(mesh: Mesh, domain: str) -> dict[str, str]:
    administrator, mailbox = f"boss@{domain}", f"desk@{domain}"
    mesh.simulator.add_account("googlews", administrator, isAdmin=True)
    mesh.simulator.add_account("googlews", mailbox)
    key = mesh.simulator.call("POST", "service-accounts")
    granted = ["openid", *(f"https://www.googleapis.com/auth/{one}" for one in _SCOPES)]
    mesh.simulator.call("POST", "delegations", clientId=key["client_id"], domain=domain, scopes=granted)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "service-account.json"
        file.write_text(json.dumps(key))
        added = mesh.run("app-credentials", "add", "--service-account", str(file))
    assert added.returncode == 0, added.stderr
    return {"administrator": administrator, "mailbox": mailbox}
