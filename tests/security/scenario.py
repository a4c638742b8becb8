"""A day of two accounts, with successes and failures, and a record of every secret that was used."""

import hashlib
import json
import re
import secrets
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import grpc
import httpx

from mailmesh.access.v1 import access_pb2
from mailmesh.vault.v1 import api_key_service_pb2, api_key_service_pb2_grpc, tenant_pb2, token_vault_service_pb2
from mailmesh.vault.v1 import tenant_service_pb2 as tenants
from mailmesh.vault.v1 import tenant_service_pb2_grpc as tenant_services
from mailmesh.vault.v1 import token_vault_service_pb2_grpc as vault_services
from stack.browser import Browser
from stack.environment import SIMULATED_APPLICATION
from tests.mesh.accounts import PROVIDERS, created_events, new_address, subscribe, tenant_of
from tests.programs.mesh import Mesh, eventually
from tests.security.doors import mesh_channel

SECRET_PARAMETERS = ("ticket", "state", "code", "nonce")
CALL_SECONDS = 60.0
# The simulated providers write their tokens to disk every few seconds.
SAVED_SECONDS = 60.0
TOKEN_ENDPOINTS = {"ms365": "ms.token", "googlews": "google.token"}


@dataclass
class Scenario:
    """The record of the day.

    Args:
        mesh: The running mesh.
        secrets: Credentials by name: none may lie open anywhere.
        content: Pieces of mail by name: they may lie in Processor's own tables only.
        answers: The answers to strangers and callers.
    """

    mesh: Mesh
    secrets: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    content: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    answers: list[bytes] = field(default_factory=list)

    def play(self) -> None:
        """Run the day's operations."""
        self._installation()
        for provider in PROVIDERS:
            self._account(provider)
        self._strangers()

    def _installation(self) -> None:
        for name, value in SIMULATED_APPLICATION.items():
            if name.endswith("_SECRET"):
                self.secrets["client secret"].add(value)
        data = self.mesh.data
        self.secrets["key-encryption key"] |= {
            line.split(":")[1] for line in (data / "vault.keys").read_text().splitlines()
        }
        passwords = json.loads((data / "database-passwords.json").read_text())
        self.secrets["database password"] |= {*passwords.values(), (data / "postgres.password").read_text()}
        self.secrets["redis password"].add((data / "redis" / "password").read_text())
        self.secrets["API key"].add(self.mesh.key)
        made = api_key_service_pb2_grpc.ApiKeyServiceStub(self.mesh.channel).CreateApiKey(
            api_key_service_pb2.CreateApiKeyRequest(display_name="canary", role=access_pb2.ROLE_READER)
        )
        self.secrets["API key"].add(made.secret)
        self._get("/v1/tenants", headers={"authorization": f"Bearer {made.secret}"})

    def _account(self, provider: str) -> None:
        address = new_address(self.mesh, provider)
        self._trouble_at_connect(address, provider)
        self._consent(address, {"provider": provider})
        tenant = self._tenant(address)
        self._refresh_tokens(address)
        made = subscribe(self.mesh, tenant)
        self._client_states(address)
        self._mail(tenant, address, provider)
        self._trouble_at_refresh(tenant, address, provider)
        self._reconnect(tenant, address)
        self._disturb_fetching(address, provider)
        if provider == "ms365":
            self._forge_notification(made.provider_subscription_id)
        done = self.mesh.run("tenants", "disconnect", tenant, "--yes")
        self.answers += [done.stdout.encode(), done.stderr.encode()]
        assert done.returncode == 0, done.stderr

    def _consent(self, address: str, wanted: dict[str, str]) -> None:
        """Complete the provider's pages, with a browser whose addresses and cookies are recorded."""
        stub = tenant_services.TenantServiceStub(self.mesh.channel)
        started = stub.StartAuthorization(tenants.StartAuthorizationRequest(login_hint=address, **wanted))
        self._note(started.authorization_url)
        with NotingBrowser(self.mesh.ready.ca_file, self) as browser:
            page = browser.consent(started.authorization_url, address)
        self.answers.append(page.text.encode())

    def _tenant(self, address: str) -> str:
        stub = tenant_services.TenantServiceStub(self.mesh.channel)
        return stub.ListTenants(tenants.ListTenantsRequest(address=address)).tenants[0].tenant_id

    def _reconnect(self, tenant: str, address: str) -> None:
        self._consent(address, {"tenant_id": tenant})
        assert tenant_of(self.mesh, tenant).status == tenant_pb2.TENANT_STATUS_ACTIVE
        self._lent(tenant)

    def _note(self, url: str) -> None:
        for name, values in parse_qs(urlsplit(url).query).items():
            if name in SECRET_PARAMETERS:
                self.secrets[name] |= set(values)

    def _client_states(self, address: str) -> None:
        for one in self.mesh.simulator.call("GET", f"subscriptions?account={address}"):
            self.secrets["clientState"].add(one["clientState"])

    def _mail(self, tenant: str, address: str, provider: str) -> None:
        words = {name: f"canary-{name}-{provider}-{secrets.token_hex(8)}" for name in ("text", "html", "subject")}
        for name, word in words.items():
            self.content[name].add(word)
        self.mesh.simulator.deliver(
            address, subject=words["subject"], text=f"Dear {words['text']}", html=f"<p>{words['html']}</p>"
        )
        eventually(lambda: created_events(self.mesh, tenant))

    def _refresh_tokens(self, address: str) -> None:
        found = eventually(lambda: self._saved(address), SAVED_SECONDS, what="the providers' own notes")
        self.secrets["refresh token"] |= found

    def _saved(self, address: str) -> set[str]:
        kept = json.loads((self.mesh.data / "simulator.json").read_text())
        return {
            refresh[0]
            for account in kept["accounts"]
            if account["address"] == address
            for refresh in account["refresh"]
        }

    def _trouble_at_connect(self, address: str, provider: str) -> None:
        """The provider answers the code with nonsense, then with half an answer, so that a parser meets the secrets."""
        for kind in ("garbage", "truncate"):
            self.mesh.simulator.fault(kind=kind, endpoint=TOKEN_ENDPOINTS[provider], account=address, count=1)
            self._consent(address, {"provider": provider})
        self.mesh.simulator.clear_faults()

    def _trouble_at_refresh(self, tenant: str, address: str, provider: str) -> None:
        """A refresh fails: first the provider sends half an answer, then the grant is revoked."""
        self.mesh.simulator.fault(kind="truncate", endpoint=TOKEN_ENDPOINTS[provider], account=address, count=1)
        token = self._lent(tenant)
        self._lent(tenant, rejected_token_digest=hashlib.sha256(token.encode()).hexdigest())
        self.mesh.simulator.clear_faults()
        self.mesh.simulator.call("POST", f"accounts/{address}/revoke")
        done = self.mesh.run("tenants", "test", tenant)
        self.answers += [done.stdout.encode(), done.stderr.encode()]

    def _lent(self, tenant: str, **more: str) -> str:
        """Borrow a token as Processor does. Return it; empty when the vault refuses it."""
        with mesh_channel(self.mesh, "processor", "vault") as channel:
            stub = vault_services.TokenVaultServiceStub(channel)
            request = token_vault_service_pb2.IssueTokenRequest(tenant_id=tenant, **more)
            try:
                token = stub.IssueToken(request, timeout=CALL_SECONDS).access_token
            except grpc.RpcError as error:
                self.answers.append(f"{error.details()} {error.trailing_metadata()}".encode())
                return ""
        self.secrets["access token"].add(token)
        return token

    def _disturb_fetching(self, address: str, provider: str) -> None:
        endpoint = "graph.messages.*" if provider == "ms365" else "gmail.messages.*"
        for kind in ("garbage", "truncate", "status"):
            self.mesh.simulator.fault(kind=kind, status=400, endpoint=endpoint, account=address, count=1)
        self.mesh.simulator.deliver(address, subject="Trouble", text=min(self.content["text"]))
        assert self.mesh.simulator.wait_until_idle(50)

    def _forge_notification(self, subscription: str) -> None:
        forged = f"forged-{secrets.token_hex(16)}"
        self.secrets["clientState"].add(forged)
        item = {"subscriptionId": subscription, "clientState": forged, "changeType": "created"}
        item |= {
            "resource": "Users/u/Messages/m",
            "resourceData": {"@odata.type": "#Microsoft.Graph.Message", "id": "m"},
        }
        self._post("/api/ms365/webhook", json={"value": [item]})
        self._post("/api/ms365/webhook", content=json.dumps({"value": [item]})[:-3].encode())

    def _strangers(self) -> None:
        wrong = {name: f"{name}-{secrets.token_urlsafe(24)}" for name in ("ticket", "state", "code")}
        for name, value in wrong.items():
            self.secrets[name].add(value)
        key = f"mm_{secrets.token_urlsafe(32)}"
        self.secrets["API key"].add(key)
        push = self.mesh.simulator.call("POST", "pubsub/forge", claims={"aud": "https://elsewhere.test"}, historyId=7)
        self.secrets["push token"].add(push["token"])
        self._get(f"/auth/oauth/ms365/authorize?ticket={wrong['ticket']}")
        self._get(f"/auth/oauth/googlews/callback?state={wrong['state']}&code={wrong['code']}")
        self._get("/v1/tenants", headers={"authorization": f"Bearer {key}"})
        self._get("/v1/tenants", headers={"authorization": f"Basic {key}", "cookie": f"state={wrong['state']}"})
        self._post("/api/googlews/webhook", json=push["body"], headers={"authorization": f"Bearer {push['token']}"})

    def _get(self, path: str, **more: object) -> None:
        self._told(httpx.get(f"{self.mesh.ready.http}{path}", trust_env=False, timeout=CALL_SECONDS, **more))

    def _post(self, path: str, **more: object) -> None:
        self._told(httpx.post(f"{self.mesh.ready.http}{path}", trust_env=False, timeout=CALL_SECONDS, **more))

    def _told(self, answer: httpx.Response) -> None:
        self.answers.append(str(dict(answer.headers)).encode() + answer.content)


class NotingBrowser(Browser):
    """A browser that records the secrets in the addresses and cookies that it sees."""

    def __init__(self, authority: Path | None, scenario: Scenario) -> None:
        super().__init__(authority)
        self._client.event_hooks = {"request": [self._sent], "response": [self._received]}
        self._scenario = scenario

    def _sent(self, request: httpx.Request) -> None:
        self._scenario._note(str(request.url))

    def _received(self, answer: httpx.Response) -> None:
        for cookie in answer.headers.get_list("set-cookie"):
            if value := re.match(r"[^=]+=([^;]{12,})", cookie):
                self._scenario.secrets["cookie"].add(value[1])
