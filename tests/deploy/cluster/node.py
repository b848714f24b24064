"""One Kubernetes node out of its own programs: etcd, API server, controllers, scheduler, containerd, kubelet, DNS.

Everything runs in network, mount and process namespaces of its own: no link leads out of them, so a pod reaches nothing
but the cluster, and the end of their first process ends every other. Only what needs pods needs the namespaces; the API
server alone runs on loopback (`ApiServer`).
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from tests.deploy.cluster import kept_images
from tests.deploy.cluster.place import PAUSE, folder, program

ADDRESS = "10.90.0.1"
PODS = "10.244.0.0/16"
SERVICES = "10.96.0.0/16"
NAMES = "10.96.0.10"
GROUP = "limoflow-test"
# Who may speak to the API server: user and group of each token.
USERS = {
    "admin": ("admin", "system:masters"),
    "controllers": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", ""),
    "kubelet": ("system:node:node1", "system:nodes"),
}


class ClusterError(RuntimeError):
    """The cluster did not do what it was asked."""


def wait_until(what: str, seconds: float, done: Callable[[], object], pause: float = 0.3) -> None:
    """Return when `done()` is true.

    Raises
    ------
    ClusterError
        When it is not within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what}: not within {seconds:g} s")
        time.sleep(pause)


class ControlPlane:
    """etcd and an API server, with a kubeconfig for each of `USERS`.

    Parameters
    ----------
    state : Path
        Where all files go; removed when the control plane ends.
    address : str
        Where the API server listens.
    port, store_port : int
        Of the API server and of etcd (whose peers' port is the next one).
    """

    def __init__(self, state: Path, address: str, port: int, store_port: int) -> None:
        self.state = state
        self.url = f"https://{address}:{port}"
        self._address, self._port, self._store_port = address, port, store_port
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        shutil.rmtree(self.state, ignore_errors=True)
        (self.state / "log").mkdir(parents=True)
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process that was started here, and remove the state."""
        for process in reversed(self._processes):
            process.terminate()
        for process in reversed(self._processes):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.state, ignore_errors=True)

    def kubectl(self, *arguments: str, feed: str | None = None, check: bool = True) -> str:
        """Run kubectl as the cluster's administrator and return what it prints.

        Raises
        ------
        ClusterError
            When it fails, unless `check` is False.
        """
        command = self._inside([str(program("kubectl")), "--kubeconfig", str(self._config("admin")), *arguments])
        done = subprocess.run(command, input=feed, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise ClusterError(f"kubectl {' '.join(arguments)} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return done.stdout

    def warnings_of(self, documents: str) -> list[str]:
        """Return what the API server warns of when it checks documents, unknown fields refused.

        Raises
        ------
        ClusterError
            When it refuses them.
        """
        command = [str(program("kubectl")), "--kubeconfig", str(self._config("admin")), "apply", "-f", "-"]
        command = self._inside([*command, "--dry-run=server", "--validate=strict"])
        done = subprocess.run(command, input=documents, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClusterError(f"refused:\n{done.stderr[-4000:]}")
        return [line for line in done.stderr.splitlines() if line.startswith("Warning")]

    def get(self, *arguments: str) -> Any:
        """Return what `kubectl get ARGUMENTS -o json` says."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def log(self, name: str) -> str:
        """Return the log of one of the cluster's own programs."""
        return (self.state / "log" / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def _start(self) -> None:
        self._write_identities()
        self._run_etcd()
        self._run_api_server()

    def _inside(self, command: Sequence[str]) -> list[str]:
        return list(command)

    def _background(self, name: str, command: Sequence[str]) -> None:
        # Whatever ends this process, its children end with it.
        guarded = ["setpriv", "--pdeathsig", "KILL", *self._inside([str(program(command[0])), *command[1:]])]
        with (self.state / "log" / f"{name}.log").open("wb") as log:
            self._processes.append(
                subprocess.Popen(guarded, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self._environment())
            )

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PATH": f"{folder() / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}

    def _config(self, user: str) -> Path:
        return self.state / f"{user}.kubeconfig"

    def _write_identities(self) -> None:
        rows = []
        for name, (user, group) in USERS.items():
            token = secrets.token_hex(16)
            rows.append(f'{token},{user},{name},"{group}"' if group else f"{token},{user},{name}")
            content = {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": self.url, "insecure-skip-tls-verify": True}}],
                "users": [{"name": "u", "user": {"token": token}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "c",
            }
            self._config(name).write_text(json.dumps(content), encoding="utf-8")
        (self.state / "tokens.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        key = self.state / "accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)

    def _run_etcd(self) -> None:
        clients, peers = (f"http://127.0.0.1:{self._store_port + step}" for step in (0, 1))
        command = ["etcd", "--data-dir", str(self.state / "etcd"), "--unsafe-no-fsync", "--name", "default"]
        command += ["--listen-client-urls", clients, "--advertise-client-urls", clients]
        command += ["--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers]
        self._background("etcd", [*command, "--initial-cluster", f"default={peers}"])

    def _run_api_server(self) -> None:
        accounts = str(self.state / "accounts.key")
        command = ["kube-apiserver", f"--etcd-servers=http://127.0.0.1:{self._store_port}"]
        command += [f"--bind-address={self._address}", f"--advertise-address={self._address}"]
        command += [f"--secure-port={self._port}", f"--cert-dir={self.state / 'certificates'}"]
        command += [f"--token-auth-file={self.state / 'tokens.csv'}", "--authorization-mode=Node,RBAC"]
        command += [f"--service-account-key-file={accounts}", f"--service-account-signing-key-file={accounts}"]
        command += ["--service-account-issuer=https://kubernetes.default.svc", "--allow-privileged=true"]
        command += [f"--service-cluster-ip-range={SERVICES}", "--kubelet-preferred-address-types=InternalIP"]
        self._background("apiserver", [*command, *self._api_options()])
        wait_until("the API server", 120, lambda: "ok" in self.kubectl("get", "--raw", "/readyz", check=False))

    def _api_options(self) -> list[str]:
        return ["--enable-admission-plugins=NodeRestriction"]


class ApiServer(ControlPlane):
    """An API server alone on loopback: it checks manifests and runs nothing."""

    def __init__(self, state: Path, port: int, store_port: int) -> None:
        super().__init__(state, "127.0.0.1", port, store_port)

    def _api_options(self) -> list[str]:
        # No controller makes the default service accounts, and no endpoint may be loopback.
        return ["--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none"]


class Node(ControlPlane):
    """A whole node in namespaces of its own.

    Parameters
    ----------
    state : Path
        Where all files go, those of the pods included.
    images : Path
        Where containerd keeps images; what it had of them in an earlier node is there again.
    """

    def __init__(self, state: Path, images: Path) -> None:
        super().__init__(state, ADDRESS, 6443, 2379)
        self._images = images
        self._init = 0

    def run(self, *command: str) -> str:
        """Run a command in the node's namespaces.

        Raises
        ------
        ClusterError
            When it fails.
        """
        done = subprocess.run(
            self._inside(command), capture_output=True, text=True, check=False, env=self._environment()
        )
        if done.returncode:
            raise ClusterError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def close(self) -> None:
        """End the namespaces' first process, and so everything in them."""
        if self._processes:
            self._processes[0].kill()
            self._processes[0].wait()
            wait_until("the end of the node", 30, lambda: not Path(f"/proc/{self._init}").exists())
        super().close()
        for parent in Path("/sys/fs/cgroup").glob(f"*/{GROUP}"):
            for group in sorted((path for path in parent.rglob("*") if path.is_dir()), reverse=True):
                group.rmdir()
            parent.rmdir()

    def _start(self) -> None:
        self._make_namespaces()
        super()._start()
        self._run_controllers()
        self._run_containers()
        self._run_kubelet()
        self._run_names()
        wait_until("the node's readiness", 120, self._ready)

    def _ready(self) -> bool:
        return "True" in self.kubectl(
            "get", "node", "node1", "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].status}", check=False
        )

    def _inside(self, command: Sequence[str]) -> list[str]:
        return ["nsenter", "-t", str(self._init), "-m", "-n", "-p", "--", *command]

    def _make_namespaces(self) -> None:
        owned = {"/var/log": "log-of-pods", "/var/lib/kubelet": "kubelet", "/var/lib/cni": "cni-state"}
        lines = ["set -e", "mount --make-rprivate /", "mount -t tmpfs tmpfs /run"]
        for name in owned.values():
            (self.state / name).mkdir()
        kept_images.restore(self._images)
        places = {place: self.state / name for place, name in owned.items()} | {"/var/lib/containerd": self._images}
        for place, path in places.items():
            lines += [f"mkdir -p {place}", f"mount --bind {path} {place}"]
        lines += ["mkdir -p /var/log/pods /var/log/containers", "mount --make-rshared /"]
        # A bridge without ports carries the node's address; service addresses are translated only once routed.
        lines += ["ip link set lo up", "ip link add node0 type bridge", f"ip addr add {ADDRESS}/24 dev node0"]
        lines += [
            "ip link set node0 up",
            f"ip route add {SERVICES} dev node0",
            "echo 1 > /proc/sys/net/ipv4/ip_forward",
        ]
        lines += [f"touch {self.state / 'made'}", "while :; do sleep 3600 & wait $!; done"]
        script = self.state / "init.sh"
        script.write_text("\n".join(lines) + "\n", encoding="utf-8")
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]
        with (self.state / "log" / "init.log").open("wb") as log:
            outer = subprocess.Popen([*command, "--mount-proc", "bash", str(script)], stdout=log, stderr=log)
        self._processes.append(outer)
        wait_until("the namespaces", 20, (self.state / "made").exists)
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text(encoding="utf-8")
        self._init = int(children.split()[0])

    def _run_controllers(self) -> None:
        config = self._config("controllers")
        command = ["kube-controller-manager", f"--kubeconfig={config}", f"--authentication-kubeconfig={config}"]
        command += [f"--authorization-kubeconfig={config}", "--leader-elect=false", "--bind-address=127.0.0.1"]
        command += ["--use-service-account-credentials", f"--cluster-cidr={PODS}", "--allocate-node-cidrs"]
        command += [f"--service-cluster-ip-range={SERVICES}"]
        command += [f"--service-account-private-key-file={self.state / 'accounts.key'}"]
        self._background("controllers", command)
        config = self._config("scheduler")
        command = ["kube-scheduler", f"--kubeconfig={config}", f"--authentication-kubeconfig={config}"]
        command += [f"--authorization-kubeconfig={config}", "--leader-elect=false", "--bind-address=127.0.0.1"]
        self._background("scheduler", command)
        arguments = ("-n", "default", "get", "serviceaccount", "default", "-o", "name")
        wait_until("the controllers", 60, lambda: self.kubectl(*arguments, check=False))

    def _run_containers(self) -> None:
        network = self.state / "cni"
        network.mkdir()
        address = {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}
        bridge = {"type": "bridge", "bridge": "pods0", "isGateway": True, "hairpinMode": True, "ipam": address}
        described = {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}
        (network / "10-pods.conflist").write_text(json.dumps(described), encoding="utf-8")
        config = self.state / "containerd.toml"
        config.write_text(
            "version = 2\n"
            'disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", '
            '"io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]\n'
            '[plugins."io.containerd.grpc.v1.cri"]\n'
            f'  sandbox_image = "{PAUSE}"\n'
            # Lowering the score of the out-of-memory killer is a right that a container has not.
            "  restrict_oom_score_adj = true\n"
            '  [plugins."io.containerd.grpc.v1.cri".cni]\n'
            f'    bin_dir = "/usr/lib/cni"\n    conf_dir = "{network}"\n',
            encoding="utf-8",
        )
        self._background("containerd", ["containerd", "-c", str(config)])
        client = ["ctr", "version"]
        answers = lambda: subprocess.run(self._inside(client), capture_output=True, check=False).returncode == 0  # noqa: E731
        wait_until("containerd", 30, answers)

    def load(self, archive: Path, layout: Path) -> None:
        """Have these images and no other: those of an archive, and those of a folder in the OCI image layout.

        Raises
        ------
        ClusterError
            When they cannot be imported.
        """
        with archive.open("rb") as packed:
            self._containerd("images", "import", "-", feed=packed)
        known = set(self._containerd("content", "ls", "--quiet").split())
        blobs = sorted((layout / "blobs" / "sha256").iterdir())
        new = [str(blob.relative_to(layout)) for blob in blobs if f"sha256:{blob.name}" not in known]
        packing = ["tar", "-C", str(layout), "-c", "oci-layout", "index.json", *new]
        with subprocess.Popen(packing, stdout=subprocess.PIPE) as piped:
            self._containerd("images", "import", "-", feed=piped.stdout)
        # 1: a file changed meanwhile, which a link taken away is to tar; containerd checks every digest.
        if piped.returncode not in (0, 1):
            raise ClusterError(f"the images in {layout} were not packed: tar ended with {piped.returncode}")
        kept_images.share_blobs(blobs, self._images)
        self._forget_others(layout)
        kept_images.keep(self._images)

    def _forget_others(self, layout: Path) -> None:
        named = [line.split() for line in self._containerd("images", "ls").splitlines()[1:]]
        wanted = {one["digest"] for one in json.loads((layout / "index.json").read_bytes())["manifests"]}
        wanted |= {digest for name, _, digest, *_ in named if name == PAUSE}
        stale = [name for name, _, digest, *_ in named if digest not in wanted]
        if stale:
            # What only they need has gone when this returns, and not while a note of the rest is taken.
            self._containerd("images", "rm", "--sync", *stale)

    def _containerd(self, *arguments: str, feed: IO[bytes] | None = None) -> str:
        command = ["ctr", "--namespace", "k8s.io", *arguments]
        done = subprocess.run(self._inside(command), stdin=feed, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClusterError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def _run_kubelet(self) -> None:
        for parent in Path("/sys/fs/cgroup").iterdir():
            if parent.name != "unified":
                (parent / GROUP).mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            whole = Path("/sys/fs/cgroup/cpuset") / name
            (Path("/sys/fs/cgroup/cpuset") / GROUP / name).write_text(whole.read_text(), encoding="utf-8")
        (self.state / "resolv.conf").write_text("", encoding="utf-8")
        settings = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": ADDRESS,
            # Nothing outside the namespaces reaches the kubelet.
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{GROUP}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "clusterDomain": "cluster.local",
            "clusterDNS": [NAMES],
            "resolvConf": str(self.state / "resolv.conf"),
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        }
        (self.state / "kubelet.json").write_text(json.dumps(settings), encoding="utf-8")
        command = ["kubelet", f"--config={self.state / 'kubelet.json'}", f"--kubeconfig={self._config('kubelet')}"]
        self._background("kubelet", [*command, "--hostname-override=node1", f"--node-ip={ADDRESS}"])
        proxy = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "hostnameOverride": "node1",
            "clusterCIDR": PODS,
            "clientConnection": {"kubeconfig": str(self._config("proxy"))},
            "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        }
        (self.state / "proxy.json").write_text(json.dumps(proxy), encoding="utf-8")
        self._background("proxy", ["kube-proxy", f"--config={self.state / 'proxy.json'}"])

    def _run_names(self) -> None:
        (self.state / "Corefile").write_text(
            f".:10053 {{\n bind {ADDRESS}\n errors\n kubernetes cluster.local in-addr.arpa {{\n"
            f"  kubeconfig {self._config('admin')} c\n  pods insecure\n  ttl 5\n }}\n cache 5\n}}\n",
            encoding="utf-8",
        )
        ports = [{"name": kind.lower(), "port": 53, "targetPort": 10053, "protocol": kind} for kind in ("UDP", "TCP")]
        metadata = {"name": "kube-dns", "namespace": "kube-system"}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata}
        slice_of = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": "kube-dns"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}],
            "ports": [{"name": one["name"], "port": 10053, "protocol": one["protocol"]} for one in ports],
        }
        both = [{**service, "spec": {"clusterIP": NAMES, "ports": ports}}, slice_of]
        self.kubectl("apply", "-f", "-", feed=json.dumps({"apiVersion": "v1", "kind": "List", "items": both}))
        self._background("names", ["coredns", "-conf", str(self.state / "Corefile")])
