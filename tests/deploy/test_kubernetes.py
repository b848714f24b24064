"""The manifests: in agreement with the code, in both directions."""

from __future__ import annotations

import ipaddress
import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from pydantic_settings import BaseSettings

from deploy.k8s.common import services_that_import
from deploy.k8s.generate import texts
from limoflow.observe.tracing import TracingSettings
from limoflow.settings import ServiceSettings
from limoflow.stream.settings import BrokerSettings
from limoflow.wiring.stack import SERVICES, idle_workers
from models.repository import EMBEDDER, KINDS, TEMPLATES, prepare
from services.exporter.settings import ExporterSettings
from services.ingestor.tenants import Quota, Tenants, read_tenants
from services.trainer.settings import TrainerSettings
from tests.deploy.cluster.place import ROOT
from tests.deploy.documents import (
    K8S,
    OVERLAYS,
    built_beside,
    container_of,
    every_folder,
    named,
    overlay,
    workloads,
    written,
)
from tests.deploy.test_image_imports import modules_below, path_of, reached
from tests.deploy.test_operate_docs import kustomizations

BASE = written("base")
STRIMZI = written("components/kafka-strimzi")
# Read by libraries, not by limoflow.
STANDARD = {"OMP_NUM_THREADS", "TOKENIZERS_PARALLELISM"}
SETTINGS: tuple[type[BaseSettings], ...] = (BrokerSettings, ServiceSettings, ExporterSettings, TrainerSettings)
PODS = {*SERVICES, "triton"}
# How code speaks of the shared folder: the run's sources, benchmarks and indexes, or the installation's own files.
SHARED = re.compile(r"(?<!class )\bHome\(|\brun\.folder\b|\bsettings\.(?:home|folder)\b")
# What the code of these only reads there.
READERS = {"verifier", "scorer", "selector"}
MODELS_DEVICE = "LIMOFLOW_MODELS_DEVICE"


def test_generated_files_are_fresh():
    for path, text in texts().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run `python -m deploy.k8s.generate`"


@pytest.mark.parametrize("folder", every_folder())
def test_every_file_is_used(folder: str):
    """Nothing lies about that no kustomization names."""
    text = (K8S / folder / "kustomization.yaml").read_text(encoding="utf-8")
    for path in (K8S / folder).glob("*.yaml"):
        assert path.name == "kustomization.yaml" or path.name in text, path


def test_every_component_is_in_an_overlay_or_says_that_it_is_an_example():
    used = {
        name.removeprefix("../../")
        for one in OVERLAYS
        for name in yaml.safe_load((K8S / "overlays" / one / "kustomization.yaml").read_text())["components"]
    }
    for folder in every_folder():
        if folder.startswith("components/") and folder not in used:
            assert "An example" in (K8S / folder / "kustomization.yaml").read_text(encoding="utf-8"), folder


def test_there_is_a_workload_an_account_a_budget_and_a_service_for_each_service():
    for kind in ("ServiceAccount", "PodDisruptionBudget", "Service"):
        assert set(named(BASE, kind)) == PODS
    assert set(workloads(BASE)) == PODS
    for name, workload in workloads(BASE).items():
        wanted = {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "limoflow"}
        assert workload["spec"]["template"]["metadata"]["labels"] == wanted
        assert workload["spec"]["selector"]["matchLabels"] == wanted
        assert named(BASE, "Service")[name]["spec"]["selector"] == wanted
        assert named(BASE, "PodDisruptionBudget")[name]["spec"]["selector"]["matchLabels"] == wanted


@pytest.mark.parametrize("name", OVERLAYS)
def test_pods_are_restricted_probed_and_bounded(name: str):
    for workload in workloads(overlay(name)).values():
        pod, container = workload["spec"]["template"]["spec"], container_of(workload)
        assert pod["automountServiceAccountToken"] is False
        assert pod["serviceAccountName"] == workload["metadata"]["name"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)
        for bound in ("requests", "limits"):
            assert {"cpu", "memory"} <= set(container["resources"][bound])
        for word in ("hostNetwork", "hostPath", "hostPID", "privileged"):
            assert word not in json.dumps(workload)


def test_strimzi_makes_no_pod_that_the_namespace_refuses():
    """Its operator writes pods of its own; only the templates say how, and the level is `restricted`."""
    labels = named(BASE, "Namespace")["limoflow"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    spec = named(STRIMZI, "Kafka")["limoflow"]["spec"]
    operators = {f"{one}Container" for one in spec["entityOperator"] if one != "template"}
    containers = {"kafka": {"kafkaContainer"}, "entityOperator": operators}
    assert spec.keys() == containers.keys(), "another part of the cluster has pods too"
    for part, names in containers.items():
        template = spec[part]["template"]
        assert template["pod"]["securityContext"]["runAsNonRoot"] is True
        assert template["pod"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for name in names:
            context = template[name]["securityContext"]
            assert context == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}, name


def test_strimzis_own_policy_lets_in_no_more_than_ours():
    policy = named(STRIMZI, "NetworkPolicy")["kafka"]["spec"]
    kafka = named(STRIMZI, "Kafka")["limoflow"]["spec"]["kafka"]
    opened = {port["port"]: rule["from"] for rule in policy["ingress"] for port in rule.get("ports", [])}
    for listener in kafka["listeners"]:
        assert listener["networkPolicyPeers"] == opened.pop(listener["port"])
    assert set(opened) == ({9404} if "metricsConfig" in kafka else set())


def reads_shared_files(service: str) -> bool:
    """Whether a service's code, or what it imports at whatever remove, opens files of the shared folder."""
    paths = [path_of(module) for module in reached(modules_below(f"services/{service}"), set())]
    return any(SHARED.search(path.read_text(encoding="utf-8")) for path in paths if path is not None)


@pytest.mark.parametrize("overlay_name", OVERLAYS)
def test_who_reads_shared_files_has_them_mounted(overlay_name: str):
    documents = overlay(overlay_name)
    home = named(documents, "ConfigMap")["limoflow"]["data"]["LIMOFLOW_HOME"]
    for name in SERVICES:
        workload = workloads(documents)[name]
        mounts = {one["mountPath"]: one for one in container_of(workload)["volumeMounts"]}
        assert (home in mounts) == reads_shared_files(name), name
        if home in mounts:
            assert mounts[home].get("readOnly", False) == (name in READERS), name
            (volume,) = [one for one in workload["spec"]["template"]["spec"]["volumes"] if one["name"] == "home"]
            assert volume["persistentVolumeClaim"]["claimName"] in named(documents, "PersistentVolumeClaim")


def test_a_volume_for_one_node_is_the_laptops_alone():
    modes = {
        name: named(overlay(name), "PersistentVolumeClaim")["limoflow-home"]["spec"]["accessModes"] for name in OVERLAYS
    }
    assert modes == {"laptop": ["ReadWriteOnce"], "production": ["ReadWriteMany"], "gpu": ["ReadWriteMany"]}


@pytest.mark.parametrize("name", SERVICES)
def test_services_listen_and_answer_where_the_code_does(name: str):
    container = container_of(workloads(BASE)[name])
    data = named(BASE, "ConfigMap")["limoflow"]["data"]
    health = (ROOT / "limoflow" / "observe" / "health.py").read_text(encoding="utf-8")
    assert str(container["ports"][0]["containerPort"]) == data["LIMOFLOW_HTTP_PORT"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == "http"
        assert f'"{container[probe]["httpGet"]["path"]}"' in health
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_tritons_ports_are_those_that_its_image_serves():
    container = container_of(workloads(BASE)["triton"])
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for script in ("triton.sh", "triton-ngc.sh"):
        text = (ROOT / "deploy" / "docker" / script).read_text(encoding="utf-8")
        assert {name: int(re.search(rf"--{name}-port=(\d+)", text)[1]) for name in ports} == ports  # type: ignore[index]
    assert named(BASE, "ConfigMap")["limoflow"]["data"]["LIMOFLOW_TRITON_URL"] == f"triton:{ports['grpc']}"


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_variable_is_one_that_a_service_reads(name: str, monkeypatch: pytest.MonkeyPatch):
    documents = overlay(name)
    known = {f"{kind.model_config['env_prefix']}{field}".upper() for kind in SETTINGS for field in kind.model_fields}
    data = named(documents, "ConfigMap")["limoflow"]["data"]
    own = {
        entry["name"]: entry.get("value", "from-a-secret")
        for service in SERVICES
        for entry in container_of(workloads(documents)[service]).get("env", [])
    }
    assert {*data, *own} - STANDARD <= known
    for variable, value in {**data, **own}.items():
        monkeypatch.setenv(variable, value)
    broker = BrokerSettings()
    assert broker.bootstrap_servers == data["LIMOFLOW_KAFKA_BOOTSTRAP_SERVERS"]
    assert ServiceSettings().http_port == 9400
    assert str(ExporterSettings().folder) == data["LIMOFLOW_EXPORTER_FOLDER"]
    assert str(TrainerSettings().folder) == data["LIMOFLOW_TRAINER_FOLDER"]
    if name != "laptop":
        assert (broker.security_protocol, broker.sasl_mechanism) == ("SASL_SSL", "SCRAM-SHA-512")


@pytest.mark.parametrize("variable", ["LIMOFLOW_HTTP_HOST", "LIMOFLOW_HOME", "LIMOFLOW_KAFKA_BOOTSTRAP_SERVERS"])
def test_what_has_a_default_of_one_machine_is_set(variable: str):
    assert variable in named(BASE, "ConfigMap")["limoflow"]["data"]


def test_the_brokers_of_each_overlay_are_where_the_services_look():
    for name in OVERLAYS:
        documents = overlay(name)
        host, _, port = named(documents, "ConfigMap")["limoflow"]["data"]["LIMOFLOW_KAFKA_BOOTSTRAP_SERVERS"].partition(
            ":"
        )
        if name == "laptop":
            assert [one["port"] for one in named(documents, "Service")[host]["spec"]["ports"]] == [int(port)]
        else:
            (kafka,) = named(documents, "Kafka").values()
            assert host == f"{kafka['metadata']['name']}-kafka-bootstrap"
            assert [one["port"] for one in kafka["spec"]["kafka"]["listeners"]] == [int(port)]
            assert all(one["tls"] for one in kafka["spec"]["kafka"]["listeners"])


def test_rules_ask_for_jobs_that_the_monitors_name():
    """By itself a PodMonitor's job is `namespace/name`, so `up{job="limoflow"}` would be asked of nothing."""
    named_jobs = {
        relabeling["replacement"]
        for monitor in named(written("components/monitoring"), "PodMonitor").values()
        for endpoint in monitor["spec"]["podMetricsEndpoints"]
        for relabeling in endpoint.get("relabelings", [])
        if relabeling["targetLabel"] == "job"
    }
    rules = [path.read_text(encoding="utf-8") for path in (ROOT / "deploy" / "prometheus").glob("*.yaml")]
    asked = {job for text in rules for job in re.findall(r'\bjob=~?"([^"]+)"', text)}
    assert asked
    for job in asked:
        assert any(re.fullmatch(job, name) for name in named_jobs), job


def test_the_laptop_overlay_is_small():
    documents = overlay("laptop")
    assert {one["spec"]["replicas"] for one in workloads(documents).values()} == {1}
    assert named(documents, "ConfigMap")["limoflow"]["data"]["LIMOFLOW_KAFKA_REPLICATION_FACTOR"] == "1"
    for document in documents:
        assert document["kind"] == "Namespace" or document["metadata"]["namespace"] == "limoflow"


def test_a_gpu_is_asked_for_only_where_models_run():
    asking = {
        name
        for name, workload in workloads(overlay("gpu")).items()
        if "nvidia.com/gpu" in container_of(workload)["resources"]["limits"]
    }
    assert asking == {"triton", "trainer"}


@pytest.mark.parametrize(("name", "device"), [("laptop", "cpu"), ("production", "cpu"), ("gpu", "cuda")])
def test_triton_and_who_writes_its_repository_are_told_the_same_device(
    name: str, device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    documents = overlay(name)
    told = named(documents, "ConfigMap")["limoflow"]["data"]["LIMOFLOW_MODELS_DEVICE"]
    (entry,) = [one for one in container_of(workloads(documents)["triton"])["env"] if one["name"] == MODELS_DEVICE]
    assert entry["valueFrom"] == {"configMapKeyRef": {"name": "limoflow", "key": MODELS_DEVICE}}
    monkeypatch.setenv(MODELS_DEVICE, told)
    assert ServiceSettings().models_device == told == device
    prepare(TEMPLATES, tmp_path, device=told)
    assert f"kind: {KINDS[device]} " in (tmp_path / "embedder" / "config.pbtxt").read_text(encoding="utf-8")


@pytest.mark.parametrize("script", ["triton.sh", "triton-ngc.sh"])
def test_a_model_that_cannot_be_loaded_ends_no_server(script: str):
    text = (ROOT / "deploy" / "docker" / script).read_text(encoding="utf-8")
    assert "first_models(home)" in text
    assert "$first --exit-on-error=false" in text
    container = container_of(workloads(BASE)["triton"])
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["path"] == f"/v2/models/{EMBEDDER}/ready"


@pytest.mark.parametrize("script", ["triton.sh", "triton-ngc.sh"])
def test_the_images_of_triton_prepare_the_repository_for_the_device_that_they_are_told(script: str):
    text = (ROOT / "deploy" / "docker" / script).read_text(encoding="utf-8")
    assert f'"${{{MODELS_DEVICE}:-cpu}}"' in text
    assert "catalog_root=home, device=sys.argv[2])" in text


def test_the_trainer_that_has_a_gpu_refuses_to_train_without_it(monkeypatch: pytest.MonkeyPatch):
    environments = {
        name: {one["name"]: one.get("value") for one in container_of(workloads(overlay(name))["trainer"])["env"]}
        for name in OVERLAYS
    }
    variable = "LIMOFLOW_TRAINER_DEVICE"
    assert {name for name, environment in environments.items() if variable in environment} == {"gpu"}
    monkeypatch.setenv(variable, environments["gpu"][variable])
    assert TrainerSettings().device == "cuda"


def test_the_verifier_has_a_kernel_of_its_own_in_production():
    documents = overlay("production")
    runtimes = {
        name: workload["spec"]["template"]["spec"].get("runtimeClassName")
        for name, workload in workloads(documents).items()
    }
    assert {name for name, runtime in runtimes.items() if runtime} == {"verifier"}
    assert runtimes["verifier"] in named(documents, "RuntimeClass")


def test_traffic_is_denied_by_default_and_edges_follow_the_imports():
    policies = named(BASE, "NetworkPolicy")
    assert policies["default-deny"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}

    def selected(policy: str) -> set[str]:
        return set(policies[policy]["spec"]["podSelector"]["matchExpressions"][0]["values"])

    assert selected("kafka-clients") == {*SERVICES, "cli"}
    assert selected("models-clients") == {*services_that_import("limoflow.inference.triton"), "cli"}
    assert {*services_that_import("limoflow.inference.endpoint"), "ingestor"} <= selected("outside")
    assert "scorer" in selected("models-clients")
    assert "generator" in selected("outside")
    assert "selector" not in selected("outside")


def test_traces_reach_the_collector_from_every_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (own,) = [text for text in kustomizations("install.md") if "components/tracing" in text]
    documents = built_beside("overlays/own", own, tmp_path)
    for variable, value in named(documents, "ConfigMap")["limoflow"]["data"].items():
        monkeypatch.setenv(variable, value)
    address = urlsplit(TracingSettings().endpoint)
    spec = named(documents, "NetworkPolicy")["traces"]["spec"]
    assert set(spec["podSelector"]["matchExpressions"][0]["values"]) == set(SERVICES)
    (edge,) = spec["egress"]
    (peer,) = edge["to"]
    assert edge["ports"] == [{"protocol": "TCP", "port": address.port}]
    namespace = peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    assert str(address.hostname).partition(".")[2] == namespace


def test_an_operators_own_overlay_opens_a_private_address_to_who_speaks_outside(tmp_path: Path):
    (own,) = [text for text in kustomizations("install.md") if "components/private-endpoints" in text]
    policies = named(built_beside("overlays/own", own, tmp_path), "NetworkPolicy")
    assert policies["private-endpoints"]["spec"]["podSelector"] == policies["outside"]["spec"]["podSelector"]
    (shown,) = re.findall(r"cidr, value: ([\d./]+)", own)
    (edge,) = policies["private-endpoints"]["spec"]["egress"]
    assert edge["to"] == [{"ipBlock": {"cidr": shown}}]
    # It is one that the policy of the base leaves out.
    (public,) = policies["outside"]["spec"]["egress"][0]["to"]
    left_out = [ipaddress.ip_network(one) for one in public["ipBlock"]["except"]]
    assert any(ipaddress.ip_network(shown).subnet_of(one) for one in left_out)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_ingestor_reads_the_file_of_tenants_that_is_mounted(name: str, tmp_path: Path):
    documents = overlay(name)
    (found,) = [one for key, one in named(documents, "ConfigMap").items() if key.startswith("limoflow-tenants")]
    ((file, text),) = found["data"].items()
    mounted = {
        service: workload
        for service, workload in workloads(documents).items()
        if found["metadata"]["name"] in json.dumps(workload)
    }
    assert set(mounted) == {"ingestor"}
    container = container_of(mounted["ingestor"])
    (mount,) = [one for one in container["volumeMounts"] if one["name"] == "tenants"]
    (variable,) = [one for one in container["env"] if one["name"] == "LIMOFLOW_TENANTS"]
    assert variable["value"] == f"{mount['mountPath']}/{file}"
    (tmp_path / file).write_text(text, encoding="utf-8")
    # Every key that the code knows stands in the file, and bounds nobody.
    assert read_tenants(tmp_path / file) == Tenants()
    plain = yaml.safe_load(text)
    assert plain.keys() == Tenants.model_fields.keys()
    assert plain["unnamed"].keys() == Quota.model_fields.keys()


@pytest.mark.parametrize("name", OVERLAYS)
def test_no_service_has_more_workers_than_its_topics_have_partitions(name: str):
    documents = overlay(name)
    partitions = int(named(documents, "ConfigMap")["limoflow"]["data"]["LIMOFLOW_KAFKA_PARTITIONS"])
    for service, workload in workloads(documents).items():
        assert idle_workers(service, workload["spec"].get("replicas", 1), partitions) is None, service
    described = named(documents, "KafkaTopic")
    assert {described[topic]["spec"]["partitions"] for topic in described if topic.startswith("samples.")} <= {
        partitions
    }
    for scaled in named(documents, "ScaledObject").values():
        assert idle_workers(scaled["metadata"]["name"], scaled["spec"]["maxReplicaCount"], partitions) is None


def test_the_demo_of_the_job_is_the_demo():
    assert (K8S / "jobs" / "demo" / "run.yaml").read_bytes() == (ROOT / "examples" / "demo.yaml").read_bytes()


def test_no_manifest_holds_a_secret():
    for folder in every_folder():
        assert not named(written(folder), "Secret"), folder
