"""The manifests of KubeRay are held against the operator's published schema; no Kubernetes is asked."""

import copy
import re
import shlex

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

import serve.app
from jobs.pipeline import _parse
from serve.args import ServeArgs, Served
from tests.cluster.files import FOLDER, KUBERAY, ROOT, WHOLE_CLUSTERS, groups, manifests, ray_cluster
from tests.cluster.schemas import faults

CLUSTERS = ("development", "job", "service")
UNITS = {"Gi": 2**30, "Mi": 2**20}


def resource(name):
    return manifests(FOLDER / "kuberay" / f"{name}.yaml")[0]


def size(text):
    return int(text[:-2]) * UNITS[text[-2:]]


def test_every_kind_is_there():
    kinds = {each["kind"] for path in KUBERAY for each in manifests(path)}
    assert kinds >= {"RayJob", "RayService", "RayCluster", "ServiceAccount"}


@pytest.mark.parametrize("path", KUBERAY, ids=lambda path: path.stem)
def test_the_schema_takes_it(path):
    for manifest in manifests(path):
        assert faults(manifest) == []


def changed(name, place, value):
    """A manifest with another value at a dotted place; None removes it."""
    manifest = copy.deepcopy(resource(name))
    *way, last = [int(step) if step.isdigit() else step for step in place.split(".")]
    part = manifest
    for step in way:
        part = part[step]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return manifest


WORKER = "spec.workerGroupSpecs.0"


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("development", f"{WORKER}.minReplica", 0),
        ("development", f"{WORKER}.maxReplicas", "4"),
        ("development", f"{WORKER}.groupName", None),
        ("development", f"{WORKER}.labels", {"t2ipal/pool": 1}),
        ("development", f"{WORKER}.template.spec.serviceAcountName", "t2ipal"),
        ("development", f"{WORKER}.template.spec.containers.0.livenessProbe.httpGet", {"path": "/"}),
        ("development", "spec.headGroupSpec", None),
        ("development", "spec.autoscalerOptions.version", "v3"),
        ("development", "spec.autoscalerOptions.idleTimeout", 60),
        ("development", "spec.authOptions.mode", "password"),
        ("development", "apiVersion", "ray.io/v1alpha1"),
        ("job", "spec.entryPoint", "python"),
        ("job", "spec.submissionMode", "K8sJob"),
        ("job", "spec.submitterPodTemplate.spec.containers.0.image", 3),
        ("service", "spec.rayClusterSpec", {}),
        ("service", "spec.serveConfigV2", {"applications": []}),
        ("service", "spec.rayClusterConfig.gcsFaultToleranceOptions.redisAddress", None),
        ("service", "spec.rayClusterConfig.gcsFaultToleranceOptions.redisPasword", {"value": "x"}),
        ("redis", "spec.selecter", {}),
    ],
)
def test_it_would_find_a_mistake(name, place, value):
    assert faults(changed(name, place, value))


@pytest.mark.parametrize("name", CLUSTERS)
def test_it_grows_and_shrinks_by_itself(name):
    spec = ray_cluster(name)
    assert spec["enableInTreeAutoscaling"]
    assert spec["autoscalerOptions"]["version"] == "v2"  # the first one knows no labels
    for group in spec["workerGroupSpecs"]:
        assert group["replicas"] == group["minReplicas"] < group["maxReplicas"]
        assert group["minReplicas"] == (1 if name == "service" else 0)


@pytest.mark.parametrize("name", CLUSTERS)
def test_the_head_runs_no_work(name):
    assert ray_cluster(name)["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


@pytest.mark.parametrize("name", CLUSTERS)
def test_the_object_store_has_its_place_in_shared_memory(name):
    for group in groups(name):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        (mount,) = [each for each in container["volumeMounts"] if each["mountPath"] == "/dev/shm"]
        (volume,) = [each for each in pod["volumes"] if each["name"] == mount["name"]]
        room = size(volume["emptyDir"]["sizeLimit"])
        assert volume["emptyDir"]["medium"] == "Memory"
        assert int(group["rayStartParams"]["object-store-memory"]) < room
        assert room < size(container["resources"]["limits"]["memory"])


@pytest.mark.parametrize("name", CLUSTERS)
def test_pods_are_watched_bounded_and_nobody_special(name):
    accounts = {each["metadata"]["name"] for each in manifests(FOLDER / "kuberay" / "account.yaml")}
    for group in groups(name):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert {"readinessProbe", "livenessProbe"} <= set(container)
        requests, limits = container["resources"]["requests"], container["resources"]["limits"]
        assert requests.keys() == limits.keys() >= {"cpu", "memory"}
        assert pod["serviceAccountName"] in accounts
        assert pod["securityContext"]["runAsNonRoot"]
        assert not container["securityContext"]["allowPrivilegeEscalation"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_no_pod_of_any_kind_runs_as_root():
    def pods(part):
        if isinstance(part, dict):
            if "containers" in part:
                yield part
            for value in part.values():
                yield from pods(value)
        elif isinstance(part, list):
            for value in part:
                yield from pods(value)

    found = [pod for path in KUBERAY for manifest in manifests(path) for pod in pods(manifest)]
    assert len(found) > 10
    assert all(pod["securityContext"]["runAsNonRoot"] for pod in found)


def test_the_autoscaler_may_do_its_work():
    account, role, binding = manifests(FOLDER / "kuberay" / "account.yaml")
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert [subject["name"] for subject in binding["subjects"]] == [account["metadata"]["name"]]
    allowed = {(what, verb) for rule in role["rules"] for what in rule["resources"] for verb in rule["verbs"]}
    assert allowed >= {("pods", "list"), ("pods", "watch"), ("rayclusters", "get"), ("rayclusters", "patch")}


def test_the_endpoint_outlives_its_head():
    options = ray_cluster("service")["gcsFaultToleranceOptions"]
    service, redis = manifests(FOLDER / "kuberay" / "redis.yaml")
    name, port = service["metadata"]["name"], service["spec"]["ports"][0]["port"]
    assert options["redisAddress"] == f"redis://{name}:{port}"
    (container,) = redis["spec"]["template"]["spec"]["containers"]
    (password,) = container["env"]
    assert options["redisPassword"]["valueFrom"] == password["valueFrom"]
    assert service["spec"]["selector"] == redis["spec"]["template"]["metadata"]["labels"]


def test_serve_takes_the_endpoints_configuration():
    config = ServeDeploySchema.model_validate(yaml.safe_load(resource("service")["spec"]["serveConfigV2"]))
    (application,) = config.applications
    module, _, name = application.import_path.partition(":")
    assert (module, getattr(serve.app, name)) == ("serve.app", serve.app.build)
    args = ServeArgs.model_validate(application.args)
    (deployment,) = application.deployments
    assert deployment.name == serve.app.Replica.name
    (recognizer,) = Served.model_validate(deployment.user_config).recognizers.values()
    run = _parse(shlex.split(resource("job")["spec"]["entrypoint"])[2:]).run
    assert recognizer == f"{run}/bundle"  # the one that the job leaves
    (replicas,) = ray_cluster("service")["workerGroupSpecs"]
    assert args.labels.items() <= replicas["labels"].items()
    assert config.http_options.host == "0.0.0.0"
    (container,) = replicas["template"]["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/-/healthz", "port": config.http_options.port}
    assert args.gpus <= int(container["resources"]["limits"]["nvidia.com/gpu"])
    assert args.replicas.max <= replicas["maxReplicas"]


def test_the_job_starts_the_pipeline_with_the_recipe_that_is_mounted():
    python, script, *arguments = shlex.split(resource("job")["spec"]["entrypoint"])
    assert (python, script.removeprefix("/app/")) == ("python", "jobs/pipeline.py")
    assert (ROOT / script.removeprefix("/app/")).is_file()
    parsed = _parse(arguments)
    pod = ray_cluster("job")["headGroupSpec"]["template"]["spec"]
    (mount,) = [each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "recipe"]
    assert parsed.recipe == f"{mount['mountPath']}/recipe.yaml"
    (volume,) = [each for each in pod["volumes"] if each["name"] == "recipe"]
    command = re.search(r"kubectl create configmap (\S+) --from-file=recipe.yaml=(\S+)", text("job"))
    assert command is not None
    assert command.group(1) == volume["configMap"]["name"]
    assert (ROOT / command.group(2)).is_file()
    assert "deploy" not in parsed.stages  # the endpoint is the service's


def text(name):
    return (FOLDER / "kuberay" / f"{name}.yaml").read_text()


def test_whole_clusters_have_the_same_pools():
    one, other = (
        {group["groupName"]: group["labels"] for group in ray_cluster(name)["workerGroupSpecs"]}
        for name in WHOLE_CLUSTERS
    )
    assert one == other
