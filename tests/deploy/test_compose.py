"""The Compose files: valid by the specification, without a default password, closed to the outside, and in order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "compose"
FILES = ("compose.yaml", "worker.yaml")


def load(file: str) -> dict[str, Any]:
    """A file, with what its anchors stand for."""
    found: dict[str, Any] = yaml.safe_load((FOLDER / file).read_text())
    return found


@pytest.fixture
def services() -> dict[str, dict[str, Any]]:
    """Those of the head node."""
    found: dict[str, dict[str, Any]] = load("compose.yaml")["services"]
    return found


@pytest.mark.parametrize("file", FILES)
def test_it_is_valid_by_the_specification(file: str) -> None:
    catalogue = pytest.importorskip(
        "check_jsonschema.builtin_schemas", reason="brings the specification's schema"
    )
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft7Validator(catalogue.get_builtin_schema("vendor.compose-spec"))
    assert [error.message for error in validator.iter_errors(load(file))] == []


@pytest.mark.parametrize("file", FILES)
def test_what_must_be_told_is_named_in_the_example_and_has_no_value(file: str) -> None:
    """Compose ends where `${NAME:?...}` is missing or empty."""
    example = (FOLDER / ".env.example").read_text()
    variables = re.findall(r"\$\{(\w+)(:[-?])?", (FOLDER / file).read_text())
    assert variables
    for name, kind in variables:
        assert re.search(rf"^#?{name}=", example, re.MULTILINE) or name in {
            "HIPPO_SLOTS",
            "PROMETHEUS_PORT",
            "GRAFANA_PORT",
        }
        assert kind, f"{name} has neither a default nor a message"
        if "PASSWORD" in name:
            assert kind == ":?"
            assert f"\n{name}=\n" in example


def test_passwords_stand_nowhere_in_the_files(services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        for name, value in service.get("environment", {}).items():
            if "PASSWORD" in name:
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), name


def test_ports_are_opened_on_loopback_unless_told_otherwise(services: dict[str, dict[str, Any]]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert len(ports) == 4
    assert all(re.match(r"(127\.0\.0\.1|\$\{HIPPO_BIND:-127\.0\.0\.1\}):", port) for port in ports)
    assert "ports" not in services["postgres"]


def test_each_service_waits_until_what_it_needs_is_healthy(services: dict[str, dict[str, Any]]) -> None:
    needs = {
        name: {other: each["condition"] for other, each in service.get("depends_on", {}).items()}
        for name, service in services.items()
    }
    assert needs == {
        "postgres": {},
        "certificates": {},
        "server": {"postgres": "service_healthy", "certificates": "service_completed_successfully"},
        "worker": {"server": "service_healthy"},
        "prometheus": {"server": "service_healthy"},
        "grafana": {"prometheus": "service_healthy"},
    }
    for conditions in needs.values():
        assert all(
            "healthcheck" in services[name] for name, kind in conditions.items() if kind == "service_healthy"
        )


def test_prometheus_scrapes_under_the_name_that_alerts_ask_for() -> None:
    found = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    (job,) = found["scrape_configs"]
    assert f'job="{job["job_name"]}"' in (FOLDER.parent / "prometheus" / "alerts.yaml").read_text()
    assert job["static_configs"] == [{"targets": ["server:7441"]}]
    secrets = load("compose.yaml")["services"]["prometheus"]["secrets"]
    assert {job["tls_config"]["ca_file"], job["authorization"]["credentials_file"]} == {
        f"/run/secrets/{name}" for name in secrets
    }


def test_what_is_kept_lies_in_volumes(services: dict[str, dict[str, Any]]) -> None:
    named = set(load("compose.yaml")["volumes"])
    mounted = {
        re.sub(r"\$\{\w+:-(\w+)\}", r"\1", volume).partition(":")[0]
        for service in services.values()
        for volume in service.get("volumes", ())
    }
    assert named <= mounted
    assert {each for each in mounted - named if not each.startswith(".")} == set()


def test_files_that_are_mounted_exist(services: dict[str, dict[str, Any]]) -> None:
    """But for those that the operator makes, which are secrets."""
    for service in services.values():
        for volume in service.get("volumes", ()):
            if volume.startswith("."):
                assert (FOLDER / volume.partition(":")[0]).exists(), volume


@pytest.mark.parametrize("file", FILES)
def test_hippos_containers_may_do_little(file: str) -> None:
    found = load(file)["services"]
    ours = {name: service for name, service in found.items() if name in {"server", "worker", "certificates"}}
    assert ours
    for service in ours.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service
        assert "user" not in service  # the image's, which is not root


@pytest.mark.parametrize("file", FILES)
def test_what_a_trainer_compiles_can_be_loaded(file: str) -> None:
    """torch.compile keeps libraries in /tmp, which Docker mounts noexec unless told otherwise."""
    assert load(file)["services"]["worker"]["tmpfs"] == ["/tmp:exec"]


@pytest.mark.parametrize("file", FILES)
def test_a_worker_is_told_of_the_storage_as_the_server_is(file: str) -> None:
    server = load("compose.yaml")["services"]["server"]["environment"]
    told = {name for name in server if name.startswith("AWS_")}
    assert told
    assert told <= load(file)["services"]["worker"]["environment"].keys()


@pytest.mark.parametrize("file", FILES)
def test_a_worker_has_the_time_to_save(file: str) -> None:
    worker = load(file)["services"]["worker"]
    assert worker["stop_grace_period"] == "3m"
    assert int(worker["environment"]["HIPPO_DRAIN_SECONDS"]) + 30 <= 180
