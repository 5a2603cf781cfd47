"""How fast the stages are: beside the bare engines, and on many workers.

    uv run jobs/benchmark.py captions                  the stage beside vLLM's own offline API, full size
    uv run jobs/benchmark.py images                    the stage beside a loop of plain diffusers
    uv run jobs/benchmark.py scale                     1 to 64 workers with a stand-in engine
    uv run jobs/benchmark.py tuning                    a step of each method beside plain PyTorch
    uv run jobs/benchmark.py tuning-profile            the operators that our steps spend their time in
    uv run jobs/benchmark.py serving                   the endpoint beside the bare model and others
    uv run jobs/benchmark.py plan                      what a plan says beside what a run then takes
    uv run jobs/benchmark.py images --recipe mine.yaml --rows 4096 --rounds 5 --json images.json

Nothing else should run on the machine meanwhile. --json writes machine, versions and figures into a file.
"""

import argparse
import sys
from pathlib import Path

from jobs.benchmarks import captions, images, planned, scale, serving, tuning, tuning_profile
from jobs.benchmarks.report import Report, from_here
from jobs.console import say
from jobs.exit_code import exit_code
from jobs.pipeline import DEFAULT_RECIPE
from jobs.preflight import check_paths
from t2ipal.recipe import Recipe, load_recipe

ROUNDS = 3
BESIDE_BARE = {module.COMMAND: module for module in (captions, images)}


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return its exit code."""
    arguments = _parse(argv)
    return exit_code(lambda: _job(arguments))


def _job(arguments: argparse.Namespace) -> None:
    report: Report = arguments.measure(arguments)
    say(report.text())
    if arguments.json:
        report.write(Path(arguments.json))


def _beside_bare(arguments: argparse.Namespace) -> Report:
    module = BESIDE_BARE[arguments.command]
    recipe = _recipe(arguments) if arguments.recipe else module.default_recipe()
    found: Report = module.benchmark(recipe, arguments.rows, arguments.rounds)
    return found


def _scale(arguments: argparse.Namespace) -> Report:
    return scale.benchmark(load_recipe(DEFAULT_RECIPE))


def _tuning(arguments: argparse.Namespace) -> Report:
    return tuning.benchmark(arguments.rounds, arguments.device)


def _profile(arguments: argparse.Namespace) -> Report:
    return tuning_profile.benchmark(arguments.device)


def _serving(arguments: argparse.Namespace) -> Report:
    return serving.benchmark(arguments.model, arguments.seconds)


def _plan(arguments: argparse.Namespace) -> Report:
    return planned.benchmark(_recipe(arguments), arguments.sizes, arguments.keep)


def _recipe(arguments: argparse.Namespace) -> Recipe:
    recipe = load_recipe(arguments.recipe)
    check_paths(recipe)
    return recipe


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How fast the stages are.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, module in BESIDE_BARE.items():
        command = _command(commands, name, "the stage beside the bare engine")
        command.add_argument("--recipe", help=f"default: {from_here(str(module.RECIPE))}")
        command.add_argument(
            "--rows", type=_count, default=module.ROWS, help="of each round; default: %(default)s"
        )
        _add_rounds(command)
        command.set_defaults(measure=_beside_bare)
    workers = _command(commands, scale.COMMAND, "the stage on 1 to 64 workers with a stand-in engine")
    workers.set_defaults(measure=_scale)
    steps = _command(commands, tuning.COMMAND, "a step of tuning beside the published one in plain PyTorch")
    _add_rounds(steps)
    _add_device(steps)
    steps.set_defaults(measure=_tuning)
    profile = _command(commands, tuning_profile.COMMAND, "where the time of a step of tuning goes")
    _add_device(profile)
    profile.set_defaults(measure=_profile)
    endpoint = _command(commands, serving.COMMAND, "the endpoint beside the bare model and two servers")
    endpoint.add_argument("--model", default=serving.MODEL, help="of open_clip; default: %(default)s")
    endpoint.add_argument(
        "--seconds", type=float, default=serving.SECONDS, help="of each measure; default: %(default)s"
    )
    endpoint.set_defaults(measure=_serving)
    plan = _command(commands, planned.COMMAND, "a run planned from a smaller one's rates, and really run")
    plan.add_argument("--recipe", default=str(DEFAULT_RECIPE), help="default: %(default)s")
    plan.add_argument(
        "--sizes",
        type=float,
        nargs=2,
        metavar="TIMES",
        default=list(planned.SIZES),
        help="of the recipe's captions in either run; default: 0.5 1.5",
    )
    plan.add_argument("--keep", metavar="FOLDER", help="where both runs are left, with their rates")
    plan.set_defaults(measure=_plan)
    return parser.parse_args(argv)


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, what: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=what, description=what)
    command.add_argument("--json", metavar="FILE", help="write machine, versions and figures there")
    return command


def _add_rounds(command: argparse.ArgumentParser) -> None:
    command.add_argument("--rounds", type=_count, default=ROUNDS, help="default: %(default)s")


def _add_device(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="default: %(default)s")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 1 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
