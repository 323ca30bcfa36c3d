"""The chart, rendered by Helm: valid for Kubernetes, closed by default, and with what its pods need to end in order."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click import Command

from hippo_server.main import main as server_command
from hippo_worker.main import cli as worker_command
from tests.deploy.custom_kinds import SCHEMAS

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "hippo"
VALUES = Path(__file__).with_name("values")
SETS = ("least", "most")
#: Of the Kubernetes that the chart says it needs, and a current one.
VERSIONS = ("1.27", "1.35")

pytestmark = pytest.mark.skipif(
    shutil.which("helm") is None, reason="helm is not installed (.ci/run says where it may come from)"
)
Manifest = dict[str, Any]


def helm(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs Helm."""
    return subprocess.run(["helm", *words], capture_output=True, text=True, check=False)


@functools.cache
def rendered(values: str, *more: str) -> tuple[Manifest, ...]:
    """What a set of values makes."""
    sets = [word for each in more for word in ("--set", each)]
    done = helm("template", "hippo", CHART, "--namespace", "ml", "--values", VALUES / f"{values}.yaml", *sets)
    assert done.returncode == 0, done.stderr
    return tuple(manifest for manifest in yaml.safe_load_all(done.stdout) if manifest)


def one(manifests: tuple[Manifest, ...], kind: str, name: str) -> Manifest:
    """The only one of a kind with a name."""
    found = [each for each in manifests if each["kind"] == kind and each["metadata"]["name"] == name]
    assert len(found) == 1, f"{kind} {name}: {len(found)}"
    return found[0]


def pods(manifests: tuple[Manifest, ...]) -> Iterator[tuple[str, Manifest]]:
    """The pods that are made, by what makes them."""
    for manifest in manifests:
        spec = manifest.get("spec", {})
        name = f"{manifest['kind']}/{manifest['metadata']['name']}"
        if manifest["kind"] == "Pod":
            yield name, spec
        elif manifest["kind"] == "ScaledJob":
            yield name, spec["jobTargetRef"]["template"]["spec"]
        elif "template" in spec:
            yield name, spec["template"]["spec"]


def variables(pod: Manifest) -> dict[str, str | None]:
    """The variables of a pod's container; None: what is only known in the cluster."""
    return {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}


@pytest.mark.parametrize("values", SETS)
def test_helm_has_no_complaint(values: str) -> None:
    done = helm("lint", "--strict", CHART, "--values", VALUES / f"{values}.yaml")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("values", SETS)
def test_what_is_made_is_valid(values: str, version: str) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="brings the schemas of Kubernetes")
    jsonschema = pytest.importorskip("jsonschema")
    kinds = set()
    for manifest in rendered(values):
        kinds.add(manifest["kind"])
        if manifest["kind"] in SCHEMAS:
            jsonschema.Draft7Validator(SCHEMAS[manifest["kind"]]).validate(manifest)
        else:
            validate.validate(manifest, version, strict=True)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}
    for _, spec in pods(rendered(values)):  # also of those that a custom kind holds
        validate.validate({**pod, "spec": spec}, version, strict=True)
    assert {"StatefulSet", "Deployment", "Service", "NetworkPolicy", "ServiceAccount", "Pod"} <= kinds
    if values == "most":
        assert {
            "ScaledJob",
            "ScaledObject",
            "ServiceMonitor",
            "PrometheusRule",
            "Certificate",
            "PodDisruptionBudget",
        } <= kinds


@pytest.mark.parametrize("values", SETS)
def test_every_container_may_do_little(values: str) -> None:
    for name, pod in pods(rendered(values)):
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["runAsUser"] == security["runAsGroup"] == 744, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"]["requests"], name
            assert container["resources"]["limits"]["memory"], name


@pytest.mark.parametrize("values", SETS)
def test_all_is_labelled_as_the_releases(values: str) -> None:
    for manifest in rendered(values):
        labels = manifest["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "hippo"
        assert labels["app.kubernetes.io/instance"] == "hippo"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"


@pytest.mark.parametrize("values", SETS)
def test_services_and_policies_find_their_pods(values: str) -> None:
    """Every selector's labels stand together on a pod of the release."""
    manifests = rendered(values)
    labels = [
        (
            each["spec"]["jobTargetRef"]["template"]
            if each["kind"] == "ScaledJob"
            else each["spec"]["template"]
        )["metadata"]["labels"]
        for each in manifests
        if each["kind"] in {"StatefulSet", "Deployment", "ScaledJob"}
    ] + [each["metadata"]["labels"] for each in manifests if each["kind"] == "Pod"]
    for manifest in manifests:
        spec = manifest.get("spec", {})
        selectors = [spec["selector"]] if manifest["kind"] == "Service" else []
        if manifest["kind"] in {"Deployment", "StatefulSet", "PodDisruptionBudget"}:
            selectors = [spec["selector"]["matchLabels"]]
        if manifest["kind"] == "NetworkPolicy":
            selectors = [spec["podSelector"]["matchLabels"]]
        for selector in selectors:
            assert any(selector.items() <= each.items() for each in labels), manifest["metadata"]["name"]


def test_variables_are_options_of_the_programs() -> None:
    commands: dict[str, Command] = {"server": server_command, "worker": worker_command}
    for _, pod in pods(rendered("most")):
        name = pod["containers"][0]["name"]
        if name in commands:
            known = {option.envvar for option in commands[name].params if isinstance(option.envvar, str)}
            given = {each for each in variables(pod) if each.startswith("HIPPO_")}
            assert given <= known | {"HIPPO_CA"}, name


def test_a_server_is_asked_as_it_answers_and_has_time_to_migrate() -> None:
    pod = one(rendered("least"), "StatefulSet", "hippo-server")["spec"]["template"]["spec"]
    container = pod["containers"][0]
    for probe, path in (
        ("startupProbe", "/livez"),
        ("livenessProbe", "/livez"),
        ("readinessProbe", "/readyz"),
    ):
        asked = container[probe]["httpGet"]
        assert (asked["path"], asked["port"], asked["scheme"]) == (path, "https", "HTTPS")
        # The kubelet would ask by the pod's address, which is none of the server's names.
        assert asked["httpHeaders"] == [{"name": "Host", "value": "localhost"}]
    start = container["startupProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] >= 600


@pytest.mark.parametrize("values", SETS)
def test_workers_have_the_time_to_save(values: str) -> None:
    found = [pod for _, pod in pods(rendered(values)) if pod["containers"][0]["name"] == "worker"]
    assert found
    for pod in found:
        drain = variables(pod)["HIPPO_DRAIN_SECONDS"]
        assert drain is not None
        assert pod["terminationGracePeriodSeconds"] >= int(drain) + 30


def test_nothing_passes_that_no_policy_names() -> None:
    policies = {
        each["metadata"]["name"]: each["spec"] for each in rendered("most") if each["kind"] == "NetworkPolicy"
    }
    deny = policies["hippo-deny"]
    assert deny["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in deny
    assert "egress" not in deny
    assert {
        name: [port["port"] for rule in spec.get("ingress", ()) for port in rule["ports"]]
        for name, spec in policies.items()
    } == {
        "hippo-deny": [],
        "hippo-names": [],
        "hippo-server": [7440, 7441, 7440, 7441, 7441],
        "hippo-worker": [],
        "hippo-test": [],
    }
    server = policies["hippo-server"]["egress"]
    assert [port["port"] for rule in server for port in rule["ports"]] == [7440, 5432, 443, 4318]
    workers = policies["hippo-worker"]["egress"]
    assert [port["port"] for rule in workers for port in rule["ports"]] == [7440, 443, 443]
    assert server[1]["to"] == [{"ipBlock": {"cidr": "10.1.0.0/24"}}]
    assert all(rule.get("from") for rule in policies["hippo-server"]["ingress"])


@pytest.mark.parametrize(
    ("given", "ports"),
    [
        ("database.url=postgresql://hippo@db.example.org:6543/hippo?sslmode=require", [6543]),
        (r"database.url=postgresql://db1:6543\,db2/hippo", [6543, 5432]),
        ("networkPolicy.databasePort=6432", [6432]),
    ],
)
def test_a_server_reaches_its_database_at_the_port_that_is_told(given: str, ports: list[int]) -> None:
    spec = one(rendered("most", given), "NetworkPolicy", "hippo-server")["spec"]
    assert [port["port"] for port in spec["egress"][1]["ports"]] == ports


def test_the_certificate_is_for_every_name_that_is_called() -> None:
    manifests = rendered("most")
    names = one(manifests, "Certificate", "hippo-server")["spec"]["dnsNames"]
    assert names == [
        "hippo-server.ml.svc",
        "hippo-server",
        "*.hippo-server-pods.ml.svc",
        "localhost",
        "hippo.example.org",
    ]
    for _, pod in pods(manifests):
        given = variables(pod) if pod["containers"][0].get("env") else {}
        if (server := given.get("HIPPO_SERVER")) is not None:
            assert server.removesuffix(":7440") in names
        if (advertised := given.get("HIPPO_ADVERTISE")) is not None:
            assert f"*.{advertised.removesuffix(':7440').partition('.')[2]}" in names
    relabeled = one(manifests, "ServiceMonitor", "hippo-server")["spec"]["endpoints"][0]["relabelings"][-1]
    assert f"*.{relabeled['replacement'].removesuffix(':7441').partition('.')[2]}" in names
    tested = one(manifests, "Pod", "hippo-test-ready")["spec"]["containers"][0]["command"]
    assert "https://hippo-server.ml.svc:7441" in tested


def test_servers_that_stand_by_do_not_hold_up_an_upgrade_or_an_eviction() -> None:
    single, several = rendered("least"), rendered("most")
    assert one(single, "StatefulSet", "hippo-server")["spec"]["updateStrategy"]["type"] == "RollingUpdate"
    assert not [each for each in single if each["kind"] == "PodDisruptionBudget"]
    spec = one(several, "StatefulSet", "hippo-server")["spec"]
    assert (spec["updateStrategy"]["type"], spec["podManagementPolicy"]) == ("OnDelete", "Parallel")
    budget = one(several, "PodDisruptionBudget", "hippo-server")["spec"]
    assert (budget["minAvailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


def test_gpus_are_asked_for_where_they_are() -> None:
    manifests = rendered("most")
    gpu = one(manifests, "ScaledJob", "hippo-worker-gpu")["spec"]["jobTargetRef"]["template"]["spec"]
    assert gpu["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 2
    assert gpu["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
    assert gpu["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    cpu = one(manifests, "Deployment", "hippo-worker-cpu")["spec"]["template"]["spec"]
    assert "nvidia.com/gpu" not in cpu["containers"][0]["resources"]["limits"]
    assert "tolerations" not in cpu
    assert variables(cpu)["HIPPO_SLOTS"] == "8"


def test_pods_that_come_with_the_work_go_when_it_is_done() -> None:
    manifests = rendered("most")
    job = one(manifests, "ScaledJob", "hippo-worker-gpu")["spec"]
    pod = job["jobTargetRef"]["template"]["spec"]
    assert (pod["restartPolicy"], variables(pod)["HIPPO_EXIT_WHEN_IDLE"]) == ("Never", "5m")
    assert job["minReplicaCount"] == 0
    growing = one(manifests, "Deployment", "hippo-worker-cpu")["spec"]
    assert "replicas" not in growing  # an upgrade would set it back
    assert "HIPPO_EXIT_WHEN_IDLE" not in variables(growing["template"]["spec"])
    assert one(manifests, "Deployment", "hippo-worker-fixed")["spec"]["replicas"] == 1
    target = one(manifests, "ScaledObject", "hippo-worker-cpu")["spec"]["scaleTargetRef"]["name"]
    assert target == "hippo-worker-cpu"


@pytest.mark.parametrize(
    ("kind", "name", "also"), [("ScaledJob", "gpu", False), ("ScaledObject", "cpu", True)]
)
def test_it_is_scaled_by_stages_in_states_that_there_are(kind: str, name: str, also: bool) -> None:
    from hippo_server.metrics import engine_gauges

    query = one(rendered("most"), kind, f"hippo-worker-{name}")["spec"]["triggers"][0]["metadata"]["query"]
    states = re.search(r'sum\(hippo_stages\{state=~"([a-z|]+)",namespace="ml"\}\)', query)
    assert states is not None, query
    assert ("training" in states[1]) is also
    source = Path(engine_gauges.__file__).read_text()
    assert all(state in source for state in states[1].split("|"))


def test_a_workers_secrets_are_a_file_of_its_own() -> None:
    pod = one(rendered("most"), "ScaledJob", "hippo-worker-gpu")["spec"]["jobTargetRef"]["template"]["spec"]
    file = variables(pod)["HIPPO_SECRETS_FILE"]
    assert pod["initContainers"][0]["command"] == [
        "install",
        "-m",
        "0600",
        "/etc/hippo/secrets/secrets.env",
        file,
    ]
    assert "/etc/hippo/secrets" not in {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}


def test_alerts_and_dashboard_are_those_of_the_repository_and_find_what_is_scraped() -> None:
    manifests = rendered("most")
    text = (ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text()
    ours = text.replace("https://docs.example.org/hippo", "https://docs.example.com/ours")
    assert one(manifests, "PrometheusRule", "hippo-server")["spec"] == yaml.safe_load(ours)
    shown = one(manifests, "ConfigMap", "hippo-dashboard")["data"]["hippo.json"]
    assert shown == (ROOT / "deploy" / "grafana" / "dashboards" / "hippo.json").read_text()
    (endpoint,) = one(manifests, "ServiceMonitor", "hippo-server")["spec"]["endpoints"]
    (job,) = [each["replacement"] for each in endpoint["relabelings"] if each["targetLabel"] == "job"]
    assert f'job="{job}"' in text


def test_the_values_that_the_page_shows_are_values() -> None:
    """Each block of the page alone, over those without which nothing is made."""
    page = (ROOT / "docs" / "how-to" / "deploy-kubernetes.md").read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 3
    for block in blocks:
        done = subprocess.run(
            ["helm", "template", "hippo", CHART, "--values", VALUES / "least.yaml", "--values", "-"],
            input=block,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stderr}"


def test_no_manifest_holds_a_secret() -> None:
    assert not [each for values in SETS for each in rendered(values) if each["kind"] == "Secret"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ("server.replicsa=2", "replicsa"),
        ("server.replicas=2", "set database.url"),
        ("database.url=postgresql://hippo:secret@db/hippo", "database/url"),
        ("tls.existingSecret=", "tls.existingSecret is needed"),
        ("storage.existingClaim=", "name a ReadWriteMany claim"),
        ("storage.address=s3://bucket/hippo", "is no folder"),
        ("workers.gpu.terminationGracePeriodSeconds=130", "30 s more than drainSeconds, 120"),
        ("workers.gpu.env.HIPPO_TOKEN=x", "HIPPO_TOKEN"),
        ("workers.gpu.autoscaling.exitWhenIdle=5", "exitWhenIdle"),
        ("tls.certManager.enabled=true", "issuerRef"),
    ],
)
def test_values_that_cannot_be_are_told(values: str, words: str) -> None:
    done = helm("template", "hippo", CHART, "--values", VALUES / "least.yaml", "--set", values)
    assert done.returncode != 0
    assert words in done.stderr
