"""The whole job: class names in, a recognizer behind an HTTP endpoint out.

    uv run jobs/pipeline.py                                         the offline default
    uv run jobs/pipeline.py --recipe mine.yaml --run s3://bucket/x  another recipe, another place
    uv run jobs/pipeline.py --stages captions,images                a part of it
    uv run jobs/pipeline.py --serve                                 keep the endpoint up until Ctrl-C
    uv run jobs/pipeline.py --plan                                  what it will take, and what it took

Every stage reads and writes files below the run's folder. What is complete there is passed over, so a job
that was killed is completed by the same command.
"""

import argparse
import sys
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

from jobs.checks import check_endpoint, check_models, check_order, check_run_uri, models_are_local
from jobs.classes import class_names
from jobs.client import ask, wait_for_signal
from jobs.console import answer_lines, quality_table, say, stage_line
from jobs.example import example
from jobs.exit_code import exit_code
from jobs.metrics import exported
from jobs.nodes import check_nodes
from jobs.planning import plan
from jobs.planning.record import Recorder
from jobs.preflight import check_paths
from jobs.progress import shown
from jobs.ray_session import RaySession
from jobs.resources import check_resources
from serve import deploy as endpoint
from t2ipal import answer
from t2ipal.lease import Lease
from t2ipal.model_identity import check_models_unchanged
from t2ipal.recipe import Recipe, load_recipe
from t2ipal.run_files import CAPTION_PRIOR, METRICS, REPORT_PAGE
from t2ipal.stages import bundle, captions, evaluate, features, images, page, tune
from t2ipal.stages.changed_recipe import begun, follow_recipe
from t2ipal.stages.report import StageReport
from t2ipal.store import Store
from t2ipal.vocabulary import Vocabulary
from t2ipal.watch import unwatched

DEFAULT_RECIPE = Path(__file__).parent / "recipes" / "offline.yaml"

STAGES: dict[str, ModuleType] = {
    "captions": captions,  # class names to sentences: a language model in vLLM
    "images": images,  # sentences to pixels: a pool of diffusers pipelines
    "features": features,  # pixels and sentences to frozen features: a pool of open_clip models
    "tune": tune,  # features to prompts, adapter and prototypes: Ray Train
    "evaluate": evaluate,  # every method of the recipe on the test set
    "bundle": bundle,  # the recognizer as a folder of its own
    "report": page,  # what was made and how good it is, for people
}
TELLING = ("captions", "images", "features", "tune")  # how far they are
DEPLOY = "deploy"  # the bundle behind HTTP: Ray Serve


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    arguments = _parse(argv)
    return exit_code(lambda: _job(arguments))


def _job(arguments: argparse.Namespace) -> None:
    classes = None if arguments.classes is None else class_names(arguments.classes)
    recipe = load_recipe(arguments.recipe, classes)
    uri = arguments.run or recipe.run
    check_run_uri(uri)
    check_paths(recipe)
    if arguments.plan:
        _plan(recipe, uri, arguments)
        return
    store = Store.open(uri)
    with Lease(store) as lease, store.listed_once():
        store.claim(recipe, begun(store))
        check_models_unchanged(recipe, store)
        if remade := follow_recipe(recipe, store):
            say(f"the recipe has changed; made anew: {', '.join(remade)}")
        run(recipe, store, arguments.stages, arguments.serve, lease)


def _plan(recipe: Recipe, uri: str, arguments: argparse.Namespace) -> None:
    """Say what the job has taken and will take; find what is wrong with it as when it is run."""
    store = plan.opened(recipe, uri)
    work, serves = _left(recipe, store, arguments.stages, arguments.serve)
    say(f"plan of {store.uri}, recipe {recipe.name}")
    say(plan.told(recipe, store, arguments.stages, work, serves, plan.sources(arguments)))


def run(recipe: Recipe, store: Store, stages: list[str], keep_serving: bool, lease: Lease) -> None:
    """Complete the stages asked for, in order, and say how it went."""
    say(f"run {store.uri}, recipe {recipe.name}")
    work, serves = _left(recipe, store, stages, keep_serving)
    if serves:
        check_endpoint(recipe)
    host = recipe.serve.host if serves else None
    with RaySession(recipe.ray, offline=models_are_local(recipe), serves_on=host) as session:
        recorder = Recorder(recipe, store, session.joins)
        if busy := [*_on_ray(work), *([DEPLOY] if serves else [])]:
            session.start()
            recorder.took(plan.START)
            check_resources(recipe, busy, session.resources(), session.joins)
            check_nodes(recipe, busy, session.joins)
        if serves:
            endpoint.check_cluster(recipe.serve)
        made_anew = ""
        for name in (name for name in STAGES if name in stages):
            lease.check()
            if name in work:
                store.expect_changes()
            made_anew += _complete(name, recipe, store, recorder, name in work)
        if store.exists(METRICS):
            say(quality_table(store.read_json(METRICS)))
        if serves:
            _serve(recipe, store, recorder, lasts=not session.joins, keep=keep_serving)
    if not serves and not work and not made_anew:
        what = "all of it is" if len(stages) > len(STAGES) else f"{', '.join(stages)}:"
        say(f"nothing to do: {what} complete")
    if store.exists(REPORT_PAGE):
        say(f"report {store.uri_of(REPORT_PAGE)}")
    say(f"run folder {store.uri}")


def _left(
    recipe: Recipe, store: Store, stages: list[str], keep_serving: bool
) -> tuple[dict[str, list[str]], bool]:
    """Return the stages asked for that are to be run, with their missing shards, and whether the endpoint is
    to be started. Raises UserError when they cannot be.
    """
    missing = _missing(recipe, store, stages)
    check_order(stages, missing)
    work = {name: shards for name, shards in missing.items() if shards and name in stages}
    serves = DEPLOY in stages and bool(keep_serving or _on_ray(work) or not answer.is_kept(store))
    check_models(recipe, work, serves, counted=store.exists(CAPTION_PRIOR))
    return work, serves


def _on_ray(work: Collection[str]) -> list[str]:
    """Return the stages for which Ray is started: all but the report, on which nothing depends."""
    return [name for name in work if name != page.STAGE]


def _missing(recipe: Recipe, store: Store, stages: list[str]) -> dict[str, list[str]]:
    """Return the missing shards of the stages asked for and of those before them.

    The later ones may need what is not there yet, as the test set from the stage features on.
    """
    every = [*STAGES, DEPLOY]
    last = max(every.index(name) for name in stages)
    return {name: STAGES[name].pending(recipe, store) for name in every[: last + 1] if name in STAGES}


def _complete(name: str, recipe: Recipe, store: Store, recorder: Recorder, busy: bool) -> str:
    """Run a stage; return what it made anew beside finished rows."""
    if name == evaluate.STAGE and recipe.evaluate.dataset is None:
        say("evaluate  nothing is measured: evaluate.dataset is null")
        return ""
    report = _run(name, recipe, store, busy)
    say(stage_line(report))
    recorder.stage(report)
    return report.made_anew


def _run(name: str, recipe: Recipe, store: Store, busy: bool) -> StageReport:
    """Run a stage, and show how far it is where it takes long."""
    report: StageReport
    if name in TELLING and busy:
        with exported(name) as told, shown(name, told) as watch:
            report = STAGES[name].run(recipe, store, watch=watch)
    else:
        report = STAGES[name].run(recipe, store)
    return report


def _serve(recipe: Recipe, store: Store, recorder: Recorder, lasts: bool, keep: bool) -> None:
    """Start the endpoint and show it; a cluster of our own, where it `lasts`, ends with the session."""
    with ExitStack() as serving:
        with shown(DEPLOY, unwatched):
            url = serving.enter_context(endpoint.deployed(recipe, store, lasts))
        show(url, recipe, store)
        recorder.took(DEPLOY)
        if keep:
            say("serving; stop with Ctrl-C")
            wait_for_signal()


def show(url: str, recipe: Recipe, store: Store) -> None:
    """Ask the endpoint about an image, keep its answer, and print it."""
    names = Vocabulary.load(recipe.vocabulary).names
    shown = example(recipe, store)
    say(f"endpoint {url}")
    said = ask(url, shown.image)
    answer.keep(store, said)
    say(answer_lines(shown.name, [names[i] for i in shown.labels], said))


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="From class names to labels over HTTP.")
    parser.add_argument("--recipe", default=str(DEFAULT_RECIPE), help="a YAML file; default: %(default)s")
    parser.add_argument(
        "--classes",
        metavar="NAMES",
        help='in place of the recipe\'s: "forklift, pallet, hard hat", or a file, a name a line, or YAML',
    )
    parser.add_argument("--run", help="folder or s3://, gs:// URI of the run; default: the recipe's `run`")
    parser.add_argument(
        "--stages", type=_stages, default=[*STAGES, DEPLOY], help="comma-separated; default: all of them"
    )
    parser.add_argument("--serve", action="store_true", help="keep the endpoint up until Ctrl-C or SIGTERM")
    plan.add_arguments(parser)
    return parser.parse_args(argv)


def _stages(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in (*STAGES, DEPLOY):
            raise argparse.ArgumentTypeError(
                f"there is no stage {name!r}; the stages are {', '.join((*STAGES, DEPLOY))}"
            )
    return names


if __name__ == "__main__":
    sys.exit(main())
