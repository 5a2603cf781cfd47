"""What the stages ask of Ray, and whether a cluster can give it: Ray itself waits for ever, in silence."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from jobs.console import say
from t2ipal.captions_recipe import CaptionsRecipe
from t2ipal.errors import UserError
from t2ipal.recipe import Recipe
from t2ipal.stages import compare

WORK_AROUND_ENGINE_CPUS = (
    0.2  # of ray.data.llm's small steps that run beside the engine (t2ipal/stages/engine)
)


@dataclass(frozen=True)
class Need:
    """The least with which a stage makes progress. `key` is the recipe's."""

    stage: str
    key: str
    cpus: float
    gpus: float

    def fits(self, resources: Mapping[str, float]) -> bool:
        """Say whether resources, as Ray counts them, are enough."""
        return self.cpus <= resources.get("CPU", 0) and self.gpus <= resources.get("GPU", 0)

    def __str__(self) -> str:
        return f"{self.key} needs {_amounts(self.cpus, self.gpus)}"


def needs(recipe: Recipe) -> list[Need]:
    """Return what each stage needs at once: one worker of a pool, but all workers of the training, or the
    least that it may have.
    """
    images, features = recipe.images.workers, recipe.features.workers
    tune, serve = recipe.tune, recipe.serve
    ranks = tune.workers.min
    return [
        *_engine(recipe.captions),
        Need("images", "images.workers", images.cpus, images.gpus),
        Need("features", "features.workers", features.cpus, features.gpus),
        # Ray Train: a worker with a GPU asks for no CPU.
        Need("tune", "tune.workers", 0 if tune.gpu else ranks, ranks if tune.gpu else 0),
        # A trial of a comparison is a task of its own, whatever the training's workers.
        Need(compare.STAGE, "tune.gpu", compare.CPUS, int(tune.gpu)),
        Need(
            "deploy", "serve.replicas.min", serve.replicas.min * serve.cpus, serve.replicas.min * serve.gpus
        ),
    ]


def _engine(captions: CaptionsRecipe | None) -> list[Need]:
    if captions is None or captions.endpoint is not None:
        return []
    workers, parts = captions.workers, captions.engine_parts
    cpus = workers.cpus if parts == 1 else max(workers.cpus, parts)
    return [Need("captions", "captions.workers", cpus + WORK_AROUND_ENGINE_CPUS, workers.gpus)]


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
