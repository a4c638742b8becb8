"""Every RPC declares its permitted callers once, and the HTTP surface agrees with the declaration."""

import re
from pathlib import Path

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from mailmesh.access.v1 import access_pb2
from services.providers.abilities import ABILITIES, MAIL_READ
from tests.contract.reading import door_of, methods, services

IDENTITIES = {"delivery", "envoy", "ingest", "operator", "processor", "token-vault", "workflows"}
# Server-sent events and gRPC are two ways to read the same stream; the latter has no HTTP form.
WITHOUT_HTTP = {"mailmesh.processor.v1.EventService.StreamEvents"}


def named(thing: ServiceDescriptor | MethodDescriptor) -> str:
    return thing.full_name


@pytest.mark.parametrize("service", services(), ids=named)
def test_every_service_has_one_door(service: ServiceDescriptor) -> None:
    assert door_of(service) != access_pb2.DOOR_UNSPECIFIED


@pytest.mark.parametrize("method", methods(access_pb2.DOOR_KEY), ids=named)
def test_behind_the_key_door_an_rpc_says_its_least_role_and_has_a_route(method: MethodDescriptor) -> None:
    options = method.GetOptions()

    assert options.Extensions[access_pb2.minimum_role] != access_pb2.ROLE_UNSPECIFIED
    assert list(options.Extensions[access_pb2.callers]) == []
    assert options.HasExtension(annotations_pb2.http) == (method.full_name not in WITHOUT_HTTP)


@pytest.mark.parametrize("method", methods(access_pb2.DOOR_OPEN), ids=named)
def test_behind_the_open_door_an_rpc_has_a_route_and_no_role(method: MethodDescriptor) -> None:
    options = method.GetOptions()

    assert options.HasExtension(annotations_pb2.http)
    assert options.Extensions[access_pb2.minimum_role] == access_pb2.ROLE_UNSPECIFIED
    assert list(options.Extensions[access_pb2.callers]) == []
    assert not options.HasExtension(access_pb2.ability)


@pytest.mark.parametrize("method", methods(access_pb2.DOOR_MESH), ids=named)
def test_behind_the_mesh_door_an_rpc_names_its_callers_and_has_no_route(method: MethodDescriptor) -> None:
    options = method.GetOptions()
    callers = list(options.Extensions[access_pb2.callers])

    assert callers
    assert set(callers) <= IDENTITIES
    assert not options.HasExtension(annotations_pb2.http)
    assert options.Extensions[access_pb2.minimum_role] == access_pb2.ROLE_UNSPECIFIED
    assert not options.HasExtension(access_pb2.ability)


def test_rpcs_that_only_read_are_open_to_readers() -> None:
    """The exceptions need admin (keys, the audit log) or operator (connecting, acting on mail, endpoints)."""
    reading = [method for method in methods(access_pb2.DOOR_KEY) if method.name.startswith(("Get", "List", "Tail"))]
    roles = {method.name: method.GetOptions().Extensions[access_pb2.minimum_role] for method in reading}
    for_others = {name: role for name, role in roles.items() if role != access_pb2.ROLE_READER}

    assert for_others == {
        "GetAuthorization": access_pb2.ROLE_OPERATOR,
        "ListDirectories": access_pb2.ROLE_OPERATOR,
        "ListMailboxes": access_pb2.ROLE_OPERATOR,
        "GetEndpoint": access_pb2.ROLE_OPERATOR,
        "ListEndpoints": access_pb2.ROLE_OPERATOR,
        "ListAttempts": access_pb2.ROLE_OPERATOR,
        "GetCalendarWrite": access_pb2.ROLE_OPERATOR,
        "ListCalendarWrites": access_pb2.ROLE_OPERATOR,
        "GetModification": access_pb2.ROLE_OPERATOR,
        "GetProcessedMark": access_pb2.ROLE_OPERATOR,
        "GetSend": access_pb2.ROLE_OPERATOR,
        "ListIdentities": access_pb2.ROLE_OPERATOR,
        "ListSends": access_pb2.ROLE_OPERATOR,
        "GetWorkflowRun": access_pb2.ROLE_OPERATOR,
        "ListWorkflowRuns": access_pb2.ROLE_OPERATOR,
        "ListApiKeys": access_pb2.ROLE_ADMIN,
        "ListAppCredentials": access_pb2.ROLE_ADMIN,
        "ListAuditEntries": access_pb2.ROLE_ADMIN,
        "ListSessions": access_pb2.ROLE_ADMIN,
    }


WITHOUT_ABILITY = {
    # Their role alone decides on them: they manage accounts and keys, and touch no mail.
    "vault.v1.ApiKeyService.CreateApiKey",
    "vault.v1.ApiKeyService.ListApiKeys",
    "vault.v1.ApiKeyService.RevokeApiKey",
    "vault.v1.AuditService.ListAuditEntries",
    "processor.v1.SealingService.UpdateSealingSettings",
    "vault.v1.DirectoryService.AddAppCredential",
    "vault.v1.DirectoryService.ConnectMailbox",
    "vault.v1.DirectoryService.CreateDirectory",
    "vault.v1.DirectoryService.DeleteAppCredential",
    "vault.v1.DirectoryService.ListAppCredentials",
    "vault.v1.DirectoryService.ListDirectories",
    "vault.v1.DirectoryService.ListMailboxes",
    "vault.v1.DirectoryService.SetAllowedMailboxes",
    "vault.v1.DirectoryService.StartConsent",
    "vault.v1.SessionService.CreateSession",
    "vault.v1.SessionService.EndSession",
    "vault.v1.SessionService.GetSession",
    "vault.v1.SessionService.ListSessions",
    "vault.v1.SessionService.RevokeSession",
    "vault.v1.TenantService.CancelPersonErasure",
    "vault.v1.TenantService.ConnectSharedMailbox",
    "vault.v1.TenantService.DisableTenant",
    "vault.v1.TenantService.DisconnectTenant",
    "vault.v1.TenantService.EnableTenant",
    "vault.v1.TenantService.ErasePerson",
    "vault.v1.TenantService.EraseTenant",
    "vault.v1.TenantService.GetAuthorization",
    "vault.v1.TenantService.GetErasure",
    "vault.v1.TenantService.GetPersonErasure",
    "vault.v1.TenantService.GetTenant",
    "vault.v1.TenantService.ListTenants",
    "vault.v1.TenantService.StartAuthorization",
    "vault.v1.TenantService.TestConnection",
    "vault.v1.TenantService.UpdateTenant",
    # They show states and ids, and no content of mail.
    "ingest.v1.DeadLetterService.CountDeadLetters",
    "ingest.v1.DeadLetterService.ListDeadLetters",
    "ingest.v1.SubscriptionService.GetSubscription",
    "ingest.v1.SubscriptionService.GetSubscriptionHealth",
    "ingest.v1.SubscriptionService.ListSubscriptions",
    "processor.v1.ProcessorService.GetPipelineStatus",
    "processor.v1.SealingService.GetSealingSettings",
    # It reads what the caller hands in, and no mailbox.
    "primitives.v1.PrimitiveService.ClassifyMessage",
    "primitives.v1.PrimitiveService.ExtractDocument",
    "primitives.v1.PrimitiveService.ExtractFields",
    "primitives.v1.PrimitiveService.ParseMail",
}
"""RPCs behind the key door that need no ability. Any other one names the ability that it needs in the contract."""


def test_every_rpc_behind_the_key_door_needs_an_ability_or_is_named_as_needing_none() -> None:
    without = {
        method.full_name.removeprefix("mailmesh.")
        for method in methods(access_pb2.DOOR_KEY)
        if not method.GetOptions().Extensions[access_pb2.ability]
    }

    assert without == WITHOUT_ABILITY


def test_an_rpc_that_reads_or_changes_mail_names_its_ability() -> None:
    named = {
        method.full_name.removeprefix("mailmesh."): method.GetOptions().Extensions[access_pb2.ability]
        for method in methods(access_pb2.DOOR_KEY)
        if method.GetOptions().HasExtension(access_pb2.ability)
    }
    reading = {
        *(f"delivery.v1.EndpointService.{verb}Endpoint" for verb in ("Create", "Get", "Update", "Delete", "Test")),
        *(f"delivery.v1.EndpointService.{name}" for name in ("PauseEndpoint", "ResumeEndpoint", "ListEndpoints")),
        *(f"delivery.v1.EndpointService.{name}" for name in ("ListAttempts", "RetryAttempt", "RecoverEndpoint")),
        "delivery.v1.EndpointService.RotateEndpointKey",
        "ingest.v1.DeadLetterService.RetryDeadLetters",
        "ingest.v1.SubscriptionService.DeleteSubscription",
        "ingest.v1.SubscriptionService.BatchCreateSubscriptions",
        "ingest.v1.SubscriptionService.CreateSubscription",
        "ingest.v1.SubscriptionService.RenewSubscription",
        "processor.v1.EventService.GetEvent",
        "processor.v1.EventService.ListEvents",
        "processor.v1.EventService.StreamEvents",
        "processor.v1.EventService.TailEvents",
        "processor.v1.MessageService.GetAttachment",
        "processor.v1.MessageService.GetMessage",
        "processor.v1.MessageService.GetRawMessage",
        "processor.v1.MessageService.ListFolders",
        "processor.v1.MessageService.ListLabels",
        "processor.v1.MessageService.SearchMessages",
        *(f"processor.v1.SearchService.{name}" for name in ("SearchMail", "GetSearchSettings", "UpdateSearchSettings")),
        *(f"processor.v1.ClassificationService.{verb}ClassificationSettings" for verb in ("Get", "Update")),
        *(
            f"processor.v1.ModelService.{name}"
            for name in ("GetModelSettings", "UpdateModelSettings", "ListModelCalls")
        ),
        *(f"processor.v1.ModelService.{name}" for name in ("ClassifyByModel", "ExtractByModel")),
        *(f"processor.v1.ContentService.{name}" for name in ("ParseMessage", "ExtractAttachment")),
        "processor.v1.ProcessorService.BackfillMailbox",
        "processor.v1.ProcessorService.GetBackfill",
        "processor.v1.ProcessorService.CancelBackfill",
        "processor.v1.ProcessorService.ReconcileMailbox",
        "processor.v1.ProcessorService.ReplayEvents",
        "vault.v1.ExportService.ExportTenant",
        "workflow.v1.WorkflowService.GetWorkflowRun",
        "workflow.v1.WorkflowService.ListWorkflowRuns",
    }

    assert {name: named.pop(name, "") for name in reading} == dict.fromkeys(reading, MAIL_READ)
    assert set(named.values()) <= set(ABILITIES) - {MAIL_READ}


def test_the_contract_describes_each_ability() -> None:
    path = Path(__file__).parents[2] / "proto/mailmesh/access/v1/access.proto"
    described = re.findall(r'^  // - "([a-z.]+)" ', path.read_text(), re.MULTILINE)

    assert described == list(ABILITIES)


def test_no_two_rpcs_share_a_route() -> None:
    routes = [route for method in methods() for route in routes_of(method)]

    assert sorted(set(routes)) == sorted(routes)


def routes_of(method: MethodDescriptor) -> list[tuple[str, str]]:
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    rules = [rule, *rule.additional_bindings]
    return [(verb, getattr(one, verb)) for one in rules if (verb := one.WhichOneof("pattern"))]


PROMISED_ROUTES = [
    ("get", "/api/ms365/webhook"),
    ("post", "/api/ms365/webhook"),
    ("post", "/api/ms365/lifecycle"),
    ("post", "/api/googlews/webhook"),
    ("get", "/auth/oauth/{provider}/authorize"),
    ("post", "/auth/oauth/{provider}/authorize"),
    ("get", "/auth/oauth/{provider}/callback"),
    ("get", "/auth/tenants"),
    ("delete", "/auth/tenants/{tenant_id}"),
    ("post", "/api/ms365/subscriptions"),
    ("post", "/api/googlews/gmail/watch"),
    ("get", "/v1/tenants"),
    ("post", "/v1/tenants/{tenant_id}:disconnect"),
    ("post", "/v1/tenants/{tenant_id}:test"),
    ("get", "/v1/subscriptions"),
    ("post", "/v1/subscriptions:batchCreate"),
    ("get", "/v1/events"),
    ("get", "/v1/events/{event_id}"),
    ("get", "/v1/events:stream"),
    ("post", "/v1/events:replay"),
    ("get", "/v1/dead-letters"),
    ("get", "/v1/dead-letters:count"),
    ("post", "/v1/dead-letters:retry"),
    ("get", "/v1/api-keys"),
    ("get", "/v1/audit"),
    ("get", "/v1/pipeline"),
]


@pytest.mark.parametrize("route", PROMISED_ROUTES, ids=" ".join)
def test_a_promised_route_is_there(route: tuple[str, str]) -> None:
    assert route in [known for method in methods() for known in routes_of(method)]
