"""The tools of the contract keep the rules: nothing about keys and tokens, and no act without an idempotency key."""

import jsonschema
import pytest

from services.agents.tools import Tool, load_tools
from services.meshkit.identity.caller import Role

TOOLS = load_tools()
NEVER = (
    "ApiKeyService",
    "AuditService",
    "AuthorizationService",
    "EndpointService",
    "SignInService",
    "TokenVaultService",
    "SubscriptionService",
)


@pytest.fixture(params=TOOLS.values(), ids=list(TOOLS))
def tool(request: pytest.FixtureRequest) -> Tool:
    return request.param


def test_no_tool_reaches_keys_tokens_or_endpoints(tool: Tool) -> None:
    assert tool.method.containing_service.name not in NEVER
    assert tool.method.name not in {"StartAuthorization", "DisconnectTenant", "DisableTenant"}


def test_a_tool_that_acts_has_an_idempotency_key_a_tenant_and_an_ability(tool: Tool) -> None:
    if tool.acts:
        assert {"tenant_id", "idempotency_key"} <= set(tool.required)
        assert tool.ability
        assert tool.role >= Role.OPERATOR
    else:
        assert tool.method.name.startswith(("Get", "List", "Search"))


def test_a_tool_has_a_text_for_itself_and_each_argument_and_a_valid_schema(tool: Tool) -> None:
    jsonschema.Draft202012Validator.check_schema(tool.schema)

    assert tool.description
    assert [name for name, part in tool.schema["properties"].items() if not part["description"]] == []
    assert set(tool.required) <= set(tool.schema["properties"])


def test_no_argument_takes_html(tool: Tool) -> None:
    assert "'html':" not in str(tool.schema)


def test_unknown_arguments_do_not_fit_at_any_depth() -> None:
    check = jsonschema.Draft202012Validator(TOOLS["mark_messages"].schema)
    right = {"tenant_id": "t", "idempotency_key": "k", "message_ids": ["m"], "change": {"is_read": True}}

    assert check.is_valid(right)
    assert not check.is_valid(right | {"more": 1})
    assert not check.is_valid(right | {"change": {"is_read": True, "more": 1}})


def test_arguments_become_the_request() -> None:
    request = TOOLS["send_reply"].request({"tenant_id": "t", "idempotency_key": "k", "message_id": "m", "text": "x"})

    assert " ".join(str(request).split()) == 'idempotency_key: "k" tenant_id: "t" reply { message_id: "m" text: "x" }'


def test_a_key_sees_the_tools_of_its_role_and_abilities() -> None:
    reader = {name for name, tool in TOOLS.items() if tool.is_open_to(Role.READER, frozenset({"mail.read"}))}
    nothing = {name for name, tool in TOOLS.items() if tool.is_open_to(Role.NONE, frozenset({"*"}))}
    everything = {name for name, tool in TOOLS.items() if tool.is_open_to(Role.ADMIN, frozenset({"*"}))}

    assert not any(TOOLS[name].acts for name in reader)
    assert nothing == set()
    assert everything == set(TOOLS)
