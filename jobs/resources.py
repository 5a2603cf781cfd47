"""What the stages ask of Ray, and whether a cluster can give it: Ray itself waits for ever, in silence."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from jobs.console import say
from t2ipal.captions_recipe import CaptionsRecipe
from t2ipal.errors import UserError
from t2ipal.recipe import Recipe
from t2ipal.section import Labels, Workers
from t2ipal.stages import compare

WORK_AROUND_ENGINE_CPUS = (
    0.2  # of ray.data.llm's small steps that run beside the engine (t2ipal/stages/engine)
)


@dataclass(frozen=True)
class Need:
    """The least with which a stage makes progress, on nodes with some labels. The keys are the recipe's."""

    stage: str
    key: str
    cpus: float
    gpus: float
    labels: Labels = field(default_factory=dict)
    labels_key: str = ""

    def fits(self, resources: Mapping[str, float]) -> bool:
        """Say whether resources, as Ray counts them, are enough."""
        return self.cpus <= resources.get("CPU", 0) and self.gpus <= resources.get("GPU", 0)

    def __str__(self) -> str:
        return f"{self.key} needs {_amounts(self.cpus, self.gpus)}"


def needs(recipe: Recipe) -> list[Need]:
    """Return what each stage needs at once: one worker of a pool, but all workers of the training, or the
    least that it may have.
    """
    tune, serve = recipe.tune, recipe.serve
    ranks, replicas = tune.workers.min, serve.replicas.min
    on = (tune.workers.labels, "tune.workers.labels")
    cpus, gpus = replicas * serve.cpus, replicas * serve.gpus
    return [
        *_engine(recipe.captions),
        _pool("images", recipe.images.workers),
        _pool("features", recipe.features.workers),
        # Ray Train: a worker with a GPU asks for no CPU.
        Need("tune", "tune.workers", 0 if tune.gpu else ranks, ranks if tune.gpu else 0, *on),
        # A trial of a comparison is a task of its own, whatever the training's workers.
        Need(compare.STAGE, "tune.gpu", compare.CPUS, int(tune.gpu), *on),
        Need("deploy", "serve.replicas.min", cpus, gpus, serve.labels, "serve.labels"),
    ]


def _pool(stage: str, workers: Workers, cpus: float | None = None) -> Need:
    key = f"{stage}.workers"
    cpus = workers.cpus if cpus is None else cpus
    return Need(stage, key, cpus, workers.gpus, workers.labels, f"{key}.labels")


def _engine(captions: CaptionsRecipe | None) -> list[Need]:
    if captions is None or captions.endpoint is not None:
        return []
    workers, parts = captions.workers, captions.engine_parts
    cpus = workers.cpus if parts == 1 else max(workers.cpus, parts)
    return [_pool("captions", workers, cpus + WORK_AROUND_ENGINE_CPUS)]


def check_resources(
    recipe: Recipe, stages: Collection[str], resources: Mapping[str, float], grows: bool
) -> None:
    """Raise UserError for the first stage that can never run; where the cluster `grows`, only tell of it."""
    for need in needs(recipe):
        if need.stage not in stages or need.fits(resources):
            continue
        has = _amounts(resources.get("CPU", 0), resources.get("GPU", 0))
        if grows:
            say(f"{need}; the cluster has {has} now, so {need.stage} will wait for more")
        else:
            raise UserError(
                f"{need}, and Ray has {has} here",
                f"ask for less in {need.key}, set ray.num_cpus to more logical CPUs, "
                "or run on a machine or a cluster that has as much",
            )


def _amounts(cpus: float, gpus: float) -> str:
    return f"{cpus:g} CPUs and {gpus:g} GPUs"
