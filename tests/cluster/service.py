"""A service as its objects, applied to the cluster of KUBECONFIG and called through its front door."""

import contextlib
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from environment.image_layout import repository
from gateway.envoy_files import render_keys, version
from gateway.keys import Keys, make_key
from gateway.listener import KEYS_FILE
from settings.clients import door_clients
from settings.load import load
from settings.stack_reader import file_of
from targets.node_pool.cluster.cluster_client import Cluster
from targets.node_pool.lifecycle import Times
from targets.node_pool.needs import Needs
from targets.node_pool.object_names import FRONT_DOOR, FRONT_DOOR_PORT, GENERATION_ANNOTATION, REPLICA, Names
from targets.node_pool.objects.every_object import objects
from targets.node_pool.objects.gateway_files import gateway_files
from targets.node_pool.objects.workload import deployment
from targets.node_pool.rendering import Contents, Manifest, Options
from targets.node_pool.rollout import Rollout, await_rollout
from targets.node_pool.service import measure
from tests.cluster.kube import Kube
from tests.waiting import eventually

# Times short enough for a test, and sizes that fit a small machine. Its one node may turn pods away for minutes, after
# images were built on it say.
DEPLOYMENT = {
    "target": "node-pool",
    "computeTargetName": "aks-gpu",
    "gpuCores": 1,
    "cpuCores": 0.4,
    "memoryGb": 2,
    "rollout": {"drainSeconds": 5, "deadlineSeconds": 120},
}
POOL = {"dnsTtlSeconds": 5, "provisionSeconds": 420, "spareGpus": 1}


DIGITS = Path(__file__).resolve().parents[2] / "model_repository" / "triton" / "digits"


class Service:
    """A service of one namespace; `image` says what it runs and changes with `deploy`."""

    def __init__(self, namespace: str, name: str, envoy: str, folder: Path, scorer: bool) -> None:
        self.kube, self.cluster = Kube(), Cluster()
        self.namespace, self.name, self.keys = namespace, name, Keys(make_key(), make_key())
        self.model = "digits"  # that answers when the service does
        self._envoy, self.folder, self._scorer = envoy, folder, scorer
        self.clients: list[dict[str, Any]] = []  # as settings have them
        self.client_keys: dict[str, Keys] = {}
        self.variables: dict[str, str] = {}  # of the environment
        self.manifests: list[Manifest] = []
        self.needs = Needs()
        shutil.copytree(DIGITS, folder / "models" / "triton" / "digits", dirs_exist_ok=True)
        (folder / "scripts").mkdir(exist_ok=True)
        (folder / "scripts" / "score.py").write_text("def init(): ...\ndef run(data): ...\n")

    def options(self, image: str, model_version: int, **deployment: Any) -> Options:
        tree = {
            "serviceName": self.name,
            "models": [{"path": "models", "name": "m"}],
            "image": {"repository": "registry.example/service"},
            "deployment": {**DEPLOYMENT, **deployment},
            "nodePool": {
                **POOL,
                "namespace": self.namespace,
                "frontDoor": {"image": self._envoy, "onPool": True, "cpuCores": 0.1},
            },
            **({"entryScript": "score.py"} if self._scorer else {}),
            **({"clients": self.clients} if self.clients else {}),
            **({"environment": {"variables": self.variables}} if self.variables else {}),
        }
        settings = load(tree, subject=file_of("test"), project=self.folder)
        keys = render_keys(self.keys, door_clients(settings.clients), self.client_keys)[KEYS_FILE]
        options = Options(
            settings=settings,
            triton=True,
            scorer=self._scorer,
            owner="organization/tests/test",
            contents=Contents(
                image=image,
                repositories=(repository("m", model_version),),
                primary_key=self.keys.primary,
                secondary_key=self.keys.secondary,
                gateway_keys=keys,
            ),
        )
        # New pods of Envoy for new files, as the program has it: a kubelet takes a minute to bring them to old ones.
        files = json.dumps(gateway_files(options), sort_keys=True)
        gateway_version = hashlib.sha256((files + version(keys)).encode()).hexdigest()[:16]
        return replace(options, contents=replace(options.contents, gateway_version=gateway_version))

    def apply(self, image: str, model_version: int, **deployment: Any) -> Rollout:
        """Apply the objects; gives the rollout that follows."""
        options = self.options(image, model_version, **deployment)
        self.manifests = [self._marked(manifest, options) for manifest in objects(options)]
        self.kube.apply(self.manifests)
        times = Times.of(options)
        self.needs = Needs.of(REPLICA, options.settings)
        return Rollout(self.namespace, self.name, times.provision, times.startup, times.grace + 30, self.needs)

    def generation(self, options: Options) -> str:
        """The digest of what a replica is."""
        template = deployment(options, REPLICA)["spec"]["template"]
        return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:16]

    def _marked(self, manifest: Manifest, options: Options) -> Manifest:
        if (manifest["kind"], manifest["metadata"]["name"]) == ("Deployment", self.name):
            manifest["metadata"]["annotations"][GENERATION_ANNOTATION] = self.generation(options)
        return manifest

    def deploy(self, image: str, model_version: int, **deployment: Any) -> None:
        """Apply, and wait until the new replicas serve and the old ones are gone; the front door too."""
        await_rollout(self.cluster, self.apply(image, model_version, **deployment), print)
        self.await_front_door()
        self.await_answers()

    def await_front_door(self) -> None:
        needs = Needs(least=2, most=2)
        await_rollout(self.cluster, Rollout(self.namespace, f"{self.name}-front-door", 60, 60, 60, needs), print)

    def measured(self) -> tuple[str, list[str]]:
        """The replicas' state, and what is wrong."""
        return measure(self.cluster, self.namespace, self.name, self.needs)

    def await_answers(self) -> None:
        """Wait until every Envoy has a healthy replica for whatever it leads to."""
        eventually(self.every_envoy_knows_a_replica, "every Envoy has looked up the replicas", 60)
        eventually(self.answers, "the service answers", 30)

    def rotate_secondary_key(self) -> None:
        self.keys = Keys(self.keys.primary, make_key())

    def remove(self) -> None:
        """Delete every object, and wait until all are gone: a Deployment goes after its pods have ended."""
        self.kube.delete(reversed(self.manifests))
        eventually(lambda: not self.kube.existing(self.manifests), "every object is gone", 120)

    def labels(self, component: str) -> dict[str, str]:
        return Names(self.name, self.namespace).selector(component)

    def replica(self) -> Any:
        """The one pod of the replicas that is not about to end."""
        (pod,) = self.kube.pods(self.namespace, self.labels(REPLICA))
        return pod

    @contextlib.contextmanager
    def client(self, key: str | None = None) -> Iterator[httpx.Client]:
        """A client of the front door with the primary key, or the one given ("": none)."""
        key = self.keys.primary if key is None else key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        with (
            self.cluster.forwarded(self.namespace, self.name, FRONT_DOOR_PORT) as port,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client,
        ):
            yield client

    def get(self, path: str, key: str | None = None) -> int:
        with self.client(key) as client:
            return client.get(path).status_code

    def score(self, request: Any) -> tuple[int, Any]:
        with self.client() as client:
            answer = client.post("/score", json=request)
            return answer.status_code, answer.json()

    def versions(self) -> list[str]:
        """The versions of the model `digits` that are served."""
        with self.client() as client:
            return list(client.get("/v2/models/digits").json()["versions"])

    def is_replaced(self, name: str) -> bool:
        """Whether another replica than the one of that name is ready, and the service answers."""
        replicas = self.kube.pods(self.namespace, self.labels(REPLICA))
        return [pod for pod in replicas if pod.name != name and pod.ready()] != [] and self.answers()

    def every_envoy_knows_a_replica(self) -> bool:
        ask = (
            r"exec 3<>/dev/tcp/127.0.0.1/9901; printf 'GET /stats/prometheus HTTP/1.1\r\nHost: envoy\r\n\r\n' >&3; "
            "timeout 1 cat <&3 || true"
        )
        healthy = re.compile(r'^envoy_cluster_membership_healthy\{envoy_cluster_name="(\w+)"\} [1-9]', re.MULTILINE)
        needed = {"triton", "scorer"} if self._scorer else {"triton"}
        pods = self.kube.pods(self.namespace, self.labels(FRONT_DOOR))
        known = (healthy.findall(self.kube.execute(pod, "envoy", "bash", "-c", ask)) for pod in pods)
        return all(needed <= set(clusters) for clusters in known)

    def hammered(self, image: str, body: Any) -> contextlib.AbstractContextManager[list[dict[str, Any]]]:
        """Clients of `/score` in a pod that runs the image, while the block runs."""
        return hammered(self.namespace, self.name, self.keys.primary, image, body)

    def answers(self) -> bool:
        """Whether the service answers clients now."""
        with contextlib.suppress(Exception):
            return self.get(f"/v2/models/{self.model}/ready") == 200
        return False


HAMMER = """
import http.client, json, os, sys, threading, time
host, path, key, body = sys.argv[1:]
headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
answered, failures = [0, 0], []
def client(number, keeps):
    connection = None
    while not os.path.exists("/tmp/stop"):
        try:
            connection = connection or http.client.HTTPConnection(host, 80, timeout=30)
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            if answer.status == 200:
                answered[keeps] += 1
            else:
                failures.append(f"{answer.status} {text[:200]}")
            if answer.will_close or not keeps:
                connection.close()
                connection = None
        except Exception as error:
            failures.append(repr(error))
            connection = None
        time.sleep(0.02)
threads = [threading.Thread(target=client, args=(n, n % 2)) for n in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
with open("/tmp/result", "w") as file:
    json.dump({"answered": answered, "failures": failures}, file)
while True:
    time.sleep(1)
"""


@contextlib.contextmanager
def hammered(namespace: str, service: str, key: str, image: str, body: Any) -> Iterator[list[dict[str, Any]]]:
    """Clients in a pod of the cluster that go on asking while the block runs; then what they counted is in the list."""
    kube, name = Kube(), f"{service}-hammer"
    command = ["python", "-c", HAMMER, service, "/score", key, json.dumps(body)]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {
            "containers": [{"name": "client", "image": image, "command": command}],
            "tolerations": [{"operator": "Exists"}],
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
        },
    }
    counted: list[dict[str, Any]] = []
    kube.apply([pod])
    try:
        (client,) = kube.pods(namespace, {"app": name})
        client.wait("condition=Ready", timeout=60)
        yield counted
        kube.execute(client, "client", "touch", "/tmp/stop")

        def result() -> str:
            return kube.execute(client, "client", "sh", "-c", "cat /tmp/result 2>/dev/null || true")

        counted.append(json.loads(eventually(result, "the clients stop", 40)))
    finally:
        kube.delete([pod])
        eventually(lambda: not kube.existing([pod]), "the clients are gone", 60)
