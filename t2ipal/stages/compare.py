"""Compare: many methods, each tuned with several seeds, on the synthetic images of one run, as Ray tasks.

    <out>/test_features, train_features  of the photos, as the stage features leaves them
    <out>/trials/<method>/seed-<n>/      as the stage tune leaves them (t2ipal.tuning.trial)
    <out>/predictions/<method>-seed-<n>  a row per test image; the manifest has the figures

What is there and was made from the same settings and features is passed over.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from t2ipal.method_names import parse_name
from t2ipal.recipe import Recipe
from t2ipal.stages import features
from t2ipal.stages.report import StageReport
from t2ipal.store import Store
from t2ipal.tuning.source import short_digest
from t2ipal.tuning.trial import Trial
from t2ipal.vocabulary import Vocabulary

if TYPE_CHECKING:
    from t2ipal.bundle import Recognizer

STAGE = "compare"
TABLE = "predictions"
CPUS = 1  # of a trial; features and prompts of one method keep one busy
MAX_RETRIES = 3  # of a trial whose worker or node dies; it goes on from its last checkpoint


@dataclass(frozen=True)
class Entry:
    """One recognizer with one seed: the trial that tunes it, and the name that its figures go by."""

    name: str
    trial: Trial

    @property
    def shard(self) -> str:
        """The name of its predictions."""
        return f"{self.name}-seed-{self.trial.seed}"

    def source(self) -> str:
        """What identifies the settings and the data of its figures."""
        test = self.trial.store.shards(features.TEST)
        return short_digest(str(self.trial.origin()), test.digest(test.done()) or "", self.name)

    def is_done(self) -> bool:
        """Say whether its predictions are those of the settings and the features as they are now."""
        manifest = self.trial.store.shards(TABLE).done().get(self.shard)
        return manifest is not None and manifest.extra.get("source") == self.source()


def entries(recipe: Recipe, run: Store, out: Store, names: Sequence[str], seeds: int) -> list[Entry]:
    """Return every recognizer with every seed. What is not tuned does the same with any, and gets one."""
    return [
        Entry(name, Trial(recipe, run, plain, seed, out, f"trials/{plain}/seed-{seed}"))
        for name in names
        for plain in [parse_name(name).plain]
        for seed in range(seeds if parse_name(name).source != "nothing" else 1)
    ]


def tables(names: Sequence[str]) -> list[str]:
    """Return the tables of photos that the comparison reads."""
    learns = any(parse_name(name).source == "labelled" for name in names)
    return [features.TEST, *([features.TRAIN] if learns else [])]


def complete(plan: Sequence[Entry]) -> Iterator[StageReport]:
    """Tune and score what is missing; yield a report for each recognizer as it is done. Needs an initialised
    Ray and finished features.
    """
    import ray

    missing = [entry for entry in plan if not entry.is_done()]
    # One task for each trial: names that differ only in what comes after tuning share its parameters.
    by_trial: dict[str, list[Entry]] = {}
    for entry in missing:
        by_trial.setdefault(entry.trial.folder, []).append(entry)
    waiting = [_task(group[0].trial.recipe).remote(group) for group in by_trial.values()]
    try:
        while waiting:
            (ready,), waiting = ray.wait(waiting)
            yield from ray.get(ready)
    finally:
        for task in waiting:
            ray.cancel(task)


def _task(recipe: Recipe) -> Any:
    import ray

    # As a stage's own errors, a trial's are raised where it is waited for.
    return ray.remote(num_cpus=CPUS, num_gpus=int(recipe.tune.gpu), max_retries=MAX_RETRIES)(complete_here)


def summary(plan: Sequence[Entry], recipe: Recipe, out: Store) -> dict[str, Any]:
    """Return the content of metrics.json. Needs every entry to be done; no Ray."""
    from t2ipal.evaluation.comparison import compare

    names: dict[str, list[str]] = {}
    for entry in plan:
        names.setdefault(entry.name, []).append(entry.shard)
    test, evaluate = out.shards(features.TEST), recipe.evaluate
    figures = compare(out.shards(TABLE), names, test, len(Vocabulary.load(recipe.vocabulary)))
    count = sum(manifest.rows for manifest in test.done().values())
    return {"dataset": evaluate.dataset, "split": evaluate.split, "images": count, **figures}


def of_recognizer(recognizer: "Recognizer", recipe: Recipe, out: Store) -> dict[str, Any]:
    """Score a finished recognizer on the test features in `out`; return the content of metrics.json."""
    from t2ipal.evaluation.report import summarise

    card, test = recognizer.card, out.shards(features.TEST)
    outcome = recognizer.assess(test, list(test.done()))
    out.shards(TABLE).write(card.method, outcome.predictions())
    evaluate, count = recipe.evaluate, len(outcome.test.ids)
    methods = {card.method: summarise([outcome.figures(list(card.classes))])}
    return {"dataset": evaluate.dataset, "split": evaluate.split, "images": count, "methods": methods}


def complete_here(group: Sequence[Entry]) -> list[StageReport]:
    """Tune one trial, in this process, and score the recognizers that are made of it."""
    from t2ipal.clip import load_backbone
    from t2ipal.tuning.session import run_tuning

    start, trial = time.monotonic(), group[0].trial
    tuned = parse_name(trial.method).source != "nothing"
    if tuned and not trial.is_done():
        run_tuning(trial, on_epoch=lambda entry: None)
    backbone = load_backbone(trial.recipe.backbone)
    return [_score(entry, backbone, tuned, start) for entry in group]


def _score(entry: Entry, backbone: Any, tuned: bool, start: float) -> StageReport:
    from t2ipal.evaluation.fitted import fit
    from t2ipal.evaluation.outcome import assess

    trial, recipe = entry.trial, entry.trial.recipe
    method = trial.load(backbone) if tuned else trial.build(backbone).eval()
    fitted = fit(recipe, trial.source, method, trial.table, parse_name(entry.name).standardised)
    classes = Vocabulary.load(recipe.vocabulary).names
    test = trial.store.shards(features.TEST)
    outcome = assess(method, fitted, len(classes), test, list(test.done()))
    figures = outcome.figures(classes)
    trial.store.shards(TABLE).write(
        entry.shard, outcome.predictions(), {"source": entry.source(), "figures": figures}
    )
    return StageReport(
        stage=entry.shard,
        rows=len(outcome.test.ids),
        shards_total=1,
        shards_done_before=0,
        seconds=time.monotonic() - start,
        notes={"mAP": figures["mAP"]},
    )
