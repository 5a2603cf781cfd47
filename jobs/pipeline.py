"""The whole job: class names in, a recognizer behind an HTTP endpoint out.

    uv run jobs/pipeline.py                                         the offline default
    uv run jobs/pipeline.py --recipe mine.yaml --run s3://bucket/x  another recipe, another place
    uv run jobs/pipeline.py --stages captions,images                a part of it
    uv run jobs/pipeline.py --serve                                 keep the endpoint up until Ctrl-C

Every stage reads and writes files below the run's folder. What is complete there is passed over, so a job
that was killed is completed by the same command.
"""

import argparse
import sys
from pathlib import Path
from types import ModuleType

from jobs.checks import check_endpoint, check_models, check_order, check_run_uri, models_are_local
from jobs.client import ask, wait_for_signal
from jobs.console import answer_lines, print_error, quality_table, say, stage_line, user_error
from jobs.ray_session import RaySession
from jobs.resources import check_resources
from serve import deploy as endpoint
from t2ipal.evaluation.datasets import open_dataset
from t2ipal.recipe import Recipe, load_recipe
from t2ipal.stages import bundle, captions, evaluate, features, images, tune
from t2ipal.store import Store
from t2ipal.vocabulary import Vocabulary

DEFAULT_RECIPE = Path(__file__).parent / "recipes" / "offline.yaml"

STAGES: dict[str, ModuleType] = {
    "captions": captions,  # class names to sentences: a language model in vLLM
    "images": images,  # sentences to pixels: a pool of diffusers pipelines
    "features": features,  # pixels and sentences to frozen features: a pool of open_clip models
    "tune": tune,  # features to prompts, adapter and prototypes: Ray Train
    "evaluate": evaluate,  # every method of the recipe on the test set
    "bundle": bundle,  # the recognizer as a folder of its own
}
DEPLOY = "deploy"  # the bundle behind HTTP: Ray Serve
ANSWER = "deploy/answer.json"  # what the endpoint said about the first test image


def main(argv: list[str] | None = None) -> int:
    """Run the job; return 0, or 2 after telling what the user has to put right."""
    arguments = _parse(argv)
    try:
        recipe = load_recipe(arguments.recipe)
        uri = arguments.run or recipe.run
        check_run_uri(uri)
        store = Store.open(uri)
        store.claim(recipe)
        run(recipe, store, arguments.stages, arguments.serve)
    except KeyboardInterrupt:
        say("stopped; the same command goes on from here")
        return 130
    except Exception as error:
        if (wrong := user_error(error)) is None:
            raise
        print_error(wrong)
        return 2
    return 0


def run(recipe: Recipe, store: Store, stages: list[str], keep_serving: bool) -> None:
    """Complete the stages asked for, in order, and say how it went."""
    say(f"run {store.uri}, recipe {recipe.name}")
    missing = {name: stage.pending(recipe, store) for name, stage in STAGES.items()}
    check_order(stages, missing)
    work = {name: shards for name, shards in missing.items() if shards and name in stages}
    serves = DEPLOY in stages and bool(keep_serving or work or not store.exists(ANSWER))
    check_models(recipe, work, serves)
    if serves:
        check_endpoint(recipe)
    with RaySession(recipe, offline=models_are_local(recipe)) as session:
        if serves or work:
            session.start()
            check_resources(
                recipe, [*work, *([DEPLOY] if serves else [])], session.resources(), session.joins
            )
        if serves:
            endpoint.check_cluster(recipe.serve)
        for name, stage in STAGES.items():
            if name in stages:
                say(stage_line(stage.run(recipe, store)))
        if store.exists(evaluate.METRICS):
            say(quality_table(store.read_json(evaluate.METRICS)))
        if serves:
            # A cluster of our own ends with the session.
            with endpoint.deployed(recipe, store, lasts=not session.joins) as url:
                show(url, recipe, store)
                if keep_serving:
                    say("serving; stop with Ctrl-C")
                    wait_for_signal()
    if not serves and not work:
        say("nothing to do: all of it is complete")
    say(f"run folder {store.uri}")


def show(url: str, recipe: Recipe, store: Store) -> None:
    """Ask the endpoint about the first test image, keep its answer, and print it."""
    say(f"endpoint {url}")
    vocabulary = Vocabulary.load(recipe.vocabulary)
    scenes = open_dataset(recipe.evaluate.dataset, recipe.evaluate.split, vocabulary)
    answer = ask(url, scenes.image(0))
    store.write_json(ANSWER, answer)
    say(answer_lines(scenes.name(0), [vocabulary.names[i] for i in scenes.labels(0)], answer))


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="From class names to labels over HTTP.")
    parser.add_argument("--recipe", default=str(DEFAULT_RECIPE), help="a YAML file; default: %(default)s")
    parser.add_argument("--run", help="folder or s3://, gs:// URI of the run; default: the recipe's `run`")
    parser.add_argument(
        "--stages", type=_stages, default=[*STAGES, DEPLOY], help="comma-separated; default: all of them"
    )
    parser.add_argument("--serve", action="store_true", help="keep the endpoint up until Ctrl-C or SIGTERM")
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
