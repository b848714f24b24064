"""What `make test-k8s` does on the node: the laptop overlay, the demo, and everything that an operator does to it."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from examples.demo import released_refs
from examples.demo_lake.faults import planted_in_release, read_faults
from examples.demo_lake.lake import FAULTS_FILE, build_lake
from schemas.release import Release
from tests.deploy.cluster import images
from tests.deploy.cluster.node import ClusterError, Node, wait_until
from tests.deploy.cluster.place import ROOT, folder

K8S = ROOT / "deploy" / "k8s"
DOCS = ROOT / "docs"
NAMESPACE = "limoflow"
USER = 10001
DOCUMENTED_JOB = "run-demo"
# What is for clusters with operators, or the reader's own; a real API server takes it in test_api_server.py.
ELSEWHERE = ("overlays/production", "overlays/gpu", "jobs/production", "YOUR-OVERLAY", "scaledobject", "kafka/limoflow")
WORKLOADS = ("deployment", "statefulset")


def documented() -> list[str]:
    """Return what the pages on operation have the reader type after `kubectl`, in their order, each once."""
    found: dict[str, None] = {}
    for name in ("install", "upgrade", "scale", "backup"):
        text = (DOCS / "operate" / f"{name}.md").read_text(encoding="utf-8")
        for match in re.finditer(r"(?m)^    kubectl (.+?)(?:  +#.*)?$|`kubectl ([^`\n]+ [^`\n]+)`", text):
            command = (match[1] or match[2]).strip()
            if not any(part in command for part in ELSEWHERE) and command != "apply -k":
                found.setdefault(command)
    return list(found)


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what is done, and how long it took."""
    started = time.monotonic()
    say(f"{what} ...")
    yield
    say(f"{what}: {time.monotonic() - started:.0f} s")


class Scenario:
    """The demo on one node.

    Parameters
    ----------
    node : Node
        With the project's images.
    volumes : Path
        Where the persistent volumes lie on this machine.
    rows : int
        Rows of the lake.
    """

    def __init__(self, node: Node, volumes: Path, rows: int) -> None:
        self.node, self.volumes, self.rows = node, volumes, rows
        self.home = volumes / "limoflow-home"
        self.unentered = documented()

    def install(self) -> None:
        """Apply the laptop overlay as a user does; the volumes are what a platform has ready."""
        for claim in ("limoflow-home", "kafka-data"):
            self.apply([_volume(claim, self.volumes / claim)])
            _own(self.volumes / claim)
        build_lake(self.home / "lake", self.rows)
        for path in (self.home, *self.home.rglob("*")):
            os.chown(path, USER, USER)
        self.enter("overlays/laptop")
        self.enter("rollout status deployment,statefulset --timeout 5m")

    def enter(self, part: str) -> None:
        """Enter the documented commands that hold some words, as a reader of docs/operate does.

        Raises
        ------
        ClusterError
            When there is none, or one fails.
        """
        chosen = [command for command in self.unentered if part in command]
        if not chosen:
            raise ClusterError(f"no command with {part!r} in docs/operate, or it was entered: {self.unentered}")
        for command in chosen:
            say(f"  kubectl {command}")
            # kubectl starts in the root folder of the node's namespaces.
            words = [str(ROOT / word) if word.startswith("deploy/") else word for word in shlex.split(command)]
            self.node.kubectl(*words)
            self.unentered.remove(command)

    def apply(self, documents: list[dict[str, Any]]) -> None:
        """Apply documents."""
        self.node.kubectl("apply", "-f", "-", feed=yaml.safe_dump_all(documents))

    def wait_ready(self, seconds: float) -> None:
        """Return when every workload has all its replicas, of the newest template, ready.

        Raises
        ------
        ClusterError
            When that does not come to be; the message shows the pods.
        """
        try:
            wait_until("ready workloads", seconds, self._all_ready, pause=1.0)
        except ClusterError as error:
            raise ClusterError(f"{error}\n{self.describe()}") from error

    def submit(self, name: str) -> None:
        """Start the demo's job under a name of its own; return once its run is known.

        Raises
        ------
        ClusterError
            When the run is not submitted in five minutes, most of which the embedded model may take.
        """
        documents = list(yaml.safe_load_all(self.node.kubectl("kustomize", str(K8S / "jobs" / "demo"))))
        (job,) = (one for one in documents if one["kind"] == "Job")
        job["metadata"]["name"] = name
        # The name is part of a run's identity: a pod of the job that starts anew submits the same run again.
        job["spec"]["template"]["spec"]["containers"][0]["command"].append(f"name={name}")
        self.apply([job])
        wait_until(f"run of job {name}", 300, lambda: " submitted" in self.log(f"job/{name}"), pause=1.0)

    def finish(self, name: str, seconds: float) -> str:
        """Wait for a job and return what it printed.

        Raises
        ------
        ClusterError
            When it fails or does not end.
        """
        wait_until(f"job {name}", seconds, lambda: self._ended(name), pause=2.0)
        log = self.log(f"job/{name}")
        if "Failed" in self._ended(name):
            raise ClusterError(f"job {name} failed:\n{log[-4000:]}\n{self.describe()}")
        return log

    def running(self, name: str) -> bool:
        """Tell whether a job has not ended."""
        return not self._ended(name)

    def pods(self) -> list[str]:
        """Return the names of the pods of the workloads, sorted."""
        found = self.node.get("-n", NAMESPACE, "pods", "-l", "app.kubernetes.io/name!=cli")["items"]
        return sorted(one["metadata"]["name"] for one in found if "deletionTimestamp" not in one["metadata"])

    def delete_at_random(self, name: str, seed: int, pause: float, most: int) -> list[str]:
        """Delete a pod every `pause` seconds, half of them without grace, while a job runs; return them."""
        chance, deleted = random.Random(seed), list[str]()
        while self.running(name) and len(deleted) < most:
            time.sleep(pause)
            pod = chance.choice(self.pods())
            grace = ("--grace-period=0", "--force") if chance.random() < 0.5 else ("--grace-period=30",)
            self.node.kubectl("-n", NAMESPACE, "delete", "pod", pod, "--wait=false", *grace, check=False)
            deleted.append(pod)
        return deleted

    def roll_all(self, seconds: float) -> None:
        """Restart every workload, one pod after the other, and wait until all are ready again."""
        self.enter("rollout restart")
        self.wait_ready(seconds)

    def releases(self) -> list[Release]:
        """Return every release that was exported, oldest first."""
        found = sorted(self.home.glob("releases/*/*/*/manifest.json"), key=lambda path: path.stat().st_mtime)
        return [Release.model_validate_json(path.read_bytes()) for path in found]

    def faults_in(self, release: Release) -> int:
        """Return how many planted faults of the lake a release holds."""
        faults = read_faults(self.home / "lake" / FAULTS_FILE)
        return sum(planted_in_release(faults, released_refs(release)).values())

    def usage(self) -> dict[str, tuple[float, float]]:
        """Return the memory (MiB, working set) and processor time (seconds) of each pod."""
        answer = json.loads(self.node.kubectl("get", "--raw", "/api/v1/nodes/node1/proxy/stats/summary"))
        return {
            pod["podRef"]["name"]: (
                pod.get("memory", {}).get("workingSetBytes", 0) / 2**20,
                pod.get("cpu", {}).get("usageCoreNanoSeconds", 0) / 1e9,
            )
            for pod in answer["pods"]
        }

    def bytes_by_topic(self) -> dict[str, int]:
        """Return the size of each topic's log on the broker's disk, in bytes, empty ones left out."""
        sizes: dict[str, int] = {}
        for path in (self.volumes / "kafka-data" / "data").glob("*/*.log"):
            topic = path.parent.name.rpartition("-")[0]
            sizes[topic] = sizes.get(topic, 0) + path.stat().st_size
        return {topic: size for topic, size in sorted(sizes.items()) if size}

    def log(self, of: str) -> str:
        """Return the log of a pod or job."""
        return self.node.kubectl("-n", NAMESPACE, "logs", of, "--tail=400", check=False)

    def describe(self) -> str:
        """Return the pods, recent warnings, and the ends of the logs of pods that are not ready."""
        parts = [self.node.kubectl("-n", NAMESPACE, "get", "pods", "-o", "wide", check=False)]
        warnings = ("-n", NAMESPACE, "get", "events", "--field-selector=type=Warning")
        parts.append(self.node.kubectl(*warnings, check=False)[-3000:])
        for pod in self.node.get("-n", NAMESPACE, "pods")["items"]:
            ready = all(one["ready"] for one in pod["status"].get("containerStatuses", [{"ready": False}]))
            if not ready and pod["status"]["phase"] != "Succeeded":
                name = pod["metadata"]["name"]
                arguments = ("-n", NAMESPACE, "logs", name, "--tail=30")
                before = self.node.kubectl(*arguments, "--previous", check=False)
                parts.append(f"--- {name}\n{before}{self.node.kubectl(*arguments, check=False)}")
        return "\n".join(parts)

    def _all_ready(self) -> bool:
        found = [one for kind in WORKLOADS for one in self.node.get("-n", NAMESPACE, kind)["items"]]
        return bool(found) and all(_is_ready(one) for one in found)

    def _ended(self, name: str) -> set[str]:
        conditions = self.node.get("-n", NAMESPACE, "job", name)["status"].get("conditions", [])
        return {one["type"] for one in conditions if one["status"] == "True"} & {"Complete", "Failed"}


def _is_ready(workload: dict[str, Any]) -> bool:
    wanted, status = workload["spec"]["replicas"], workload["status"]
    if status.get("observedGeneration", 0) < workload["metadata"]["generation"]:
        return False
    if workload["kind"] == "StatefulSet" and status.get("currentRevision") != status.get("updateRevision"):
        return False
    counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")]
    return counts == [wanted] * 3 or (workload["kind"] == "StatefulSet" and counts[0] == counts[2] == wanted)


def _volume(claim: str, place: Path) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": claim},
        "spec": {
            "capacity": {"storage": "20Gi"},
            "accessModes": ["ReadWriteOnce"],
            "claimRef": {"namespace": NAMESPACE, "name": claim},
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(place)},
        },
    }


def _own(place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    os.chown(place, USER, USER)


def image_names() -> list[str]:
    """Return the images that the laptop overlay and its jobs run, with their tags."""
    folders = (K8S / "base", K8S / "components" / "kafka-local", K8S / "jobs" / "demo", K8S / "jobs" / "cli")
    found = set()
    for path in [path for one in folders for path in one.glob("*.yaml")]:
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            spec = document.get("spec", {})
            pod = spec if document.get("kind") == "Pod" else spec.get("template", {}).get("spec", {})
            found |= {container["image"] for container in pod.get("containers", [])}
    return sorted(found)


def build_images() -> Path:
    """Build the images of the laptop overlay and return a folder with all of them."""
    with step("base images"):
        images.clear_leftovers()
        images.ensure_bases()
    names = image_names()
    first, *others = names
    _build([first])
    # Two at once would each make the stages that they share. The first has what all share, and torch is in one half.
    heavy = [name for name in others if images.has_torch(name)]
    with ThreadPoolExecutor(2) as pair:
        list(pair.map(_build, (heavy, [name for name in others if name not in heavy])))
    with step("layout of the images"):
        images.clear_leftovers()
        return images.save(names)


def _build(names: list[str]) -> None:
    for name in names:
        with step(f"image {name}"):
            images.build(name)


@contextmanager
def starting(state: Path, pulled: Path) -> Iterator[Future[Node]]:
    """Start a node while other things are done; it is taken down in the end."""
    node = Node(state, pulled)
    # A child of the node ends with the thread that started it, so the thread stays.
    with ThreadPoolExecutor(1) as aside:
        started = aside.submit(node.__enter__)
        try:
            yield started
        finally:
            with step("down"):
                started.exception()
                node.close()


def run(rows: int, seed: int) -> None:
    """Bring everything up, show that it works, and take it down.

    Raises
    ------
    ClusterError
        When anything does not hold.
    """
    began = time.monotonic()
    place = folder() / "test"
    shutil.rmtree(place, ignore_errors=True)
    try:
        with starting(place / "node", images.pulled()) as started:
            layout = build_images()
            with step("images into the node"):
                node = started.result()
                node.load(folder() / "img" / "localhost_pause_1.tar", layout)
            _operate(Scenario(node, place / "volumes", rows), seed)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    say(f"all of it took {time.monotonic() - began:.0f} s")


def _operate(scenario: Scenario, seed: int) -> None:
    with step("install"):
        scenario.install()
        scenario.wait_ready(300)
    with step("demo"):
        scenario.enter("jobs/demo")
        scenario.enter("job/run-demo")
        say(_told(scenario.finish(DOCUMENTED_JOB, 600)))
    with step("command line"):
        scenario.enter("jobs/cli")
        scenario.enter("pod/cli")
    (calm,) = scenario.releases()
    _check(scenario, calm, _target())
    _tell_usage(scenario)
    with step("demo while the verifier is scaled from 1 to 3 and pods are deleted"):
        scenario.enter("scale deployment/verifier")
        scenario.submit("demo-disturbed")
        scenario.enter("delete pod -l")
        deleted = scenario.delete_at_random("demo-disturbed", seed, pause=10.0, most=6)
        say(f"  deleted: {', '.join(deleted)}")
        say(_told(scenario.finish("demo-disturbed", 600)))
    scenario.wait_ready(180)
    if sum(pod.startswith("verifier-") for pod in scenario.pods()) != 3:
        raise ClusterError(f"3 verifiers were asked for; there are {scenario.pods()}")
    with step("demo while everything is rolled"):
        scenario.submit("demo-rolled")
        scenario.roll_all(300)
        scenario.enter("rollout undo")
        say(_told(scenario.finish("demo-rolled", 600)))
        scenario.enter("--timeout 10m")
    _same(scenario, calm)
    with step("everything deleted, then scaled to nothing"):
        scenario.enter("delete pod --all")
        scenario.wait_ready(180)
        scenario.enter("--replicas 0")
    if scenario.unentered:
        raise ClusterError(f"documented in docs/operate, but not run here: {scenario.unentered}")


def _target() -> int:
    spec = yaml.safe_load((K8S / "jobs" / "demo" / "run.yaml").read_text(encoding="utf-8"))
    return int(spec["select"]["target"])


def _same(scenario: Scenario, calm: Release) -> None:
    """Require two more releases, with the rows of the undisturbed one."""
    disturbed = [one for one in scenario.releases() if one.release_id != calm.release_id]
    if len(disturbed) != 2:
        raise ClusterError(f"3 releases were to be; there are {len(scenario.releases())}")
    for release in disturbed:
        _check(scenario, release, len(calm.rows))
        if sorted(released_refs(release)) != sorted(released_refs(calm)):
            raise ClusterError(f"release {release.release_id} has other rows than the undisturbed one")


def _check(scenario: Scenario, release: Release, target: int) -> None:
    if len(release.rows) != target:
        raise ClusterError(f"the release has {len(release.rows)} rows, {target} were asked for")
    say(f"  release {release.release_id}: {len(release.rows)} rows, {scenario.faults_in(release)} planted faults")


def _tell_usage(scenario: Scenario) -> None:
    for pod, (memory, seconds) in sorted(scenario.usage().items()):
        say(f"  {pod:<36} {memory:6.0f} MiB {seconds:7.1f} s of processor time")
    for topic, size in scenario.bytes_by_topic().items():
        say(f"  {topic:<36} {size / 2**20:6.1f} MiB on disk")


def _told(log: str) -> str:
    said = [line for line in log.splitlines() if line.strip() and not line.startswith(("FAIL ", "{"))]
    begin = next((number for number, line in enumerate(said) if line.startswith("admitted")), 0)
    return "\n".join(f"    {line}" for line in said[begin:])
