"""Compare: many methods, each tuned with several seeds, on the synthetic images of one run, as Ray tasks.

    <out>/test_features, train_features  of the photos, as the stage features leaves them
    <out>/trials/<method>/seed-<n>/      as the stage tune leaves them (t2ipal.tuning.trial)
    <out>/predictions/<method>-seed-<n>  a row per test image; the manifest has the figures

A sweep (t2ipal.stages.sweep) has names of its own in place of `seed-<n>`.

What is there and was made from the same settings and features is passed over. A fused recognizer has no trial
of its own: it is scored when those of its two parts are done.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from t2ipal.method_names import Name, parse_name
from t2ipal.recipe import Recipe
from t2ipal.stages import features
from t2ipal.stages.report import StageReport
from t2ipal.store import Store
from t2ipal.tuning.source import short_digest
from t2ipal.tuning.trial import Trial
from t2ipal.vocabulary import Vocabulary

if TYPE_CHECKING:
    from t2ipal import Recognizer
    from t2ipal.clip import Backbone
    from t2ipal.methods import Method
    from t2ipal.methods.fusion import Range

STAGE = "compare"
TABLE = "predictions"
CPUS = 1  # of a trial; features and prompts of one method keep one busy
MAX_RETRIES = 3  # of a trial whose worker or node dies; it goes on from its last checkpoint


@dataclass(frozen=True)
class Entry:
    """One recognizer with one seed: the trial that tunes it, and the name that its figures go by. A fused one
    has the trial of the part that learns from labels, and that of its label-free part.
    """

    name: str
    trial: Trial
    label_free: Trial | None = None
    point: str | None = None  # what tells it from others of its name, where the seed alone does not

    @property
    def shard(self) -> str:
        """The name of its predictions."""
        return f"{self.name}-{self.point or f'seed-{self.trial.seed}'}"

    def source(self) -> str:
        """What identifies the settings and the data of its figures."""
        test = self.trial.store.shards(features.TEST)
        made_from = [str(self.trial.origin()), test.digest(test.done()) or "", self.name]
        if self.label_free is not None:
            fusion = self.trial.recipe.methods.fusion
            made_from += [str(self.label_free.origin()), fusion.model_dump_json()]
        return short_digest(*made_from)

    def is_done(self) -> bool:
        """Say whether its predictions are those of the settings and the features as they are now."""
        manifest = self.trial.store.shards(TABLE).done().get(self.shard)
        return manifest is not None and manifest.extra.get("source") == self.source()

    @property
    def is_tuned(self) -> bool:
        """Whether anything that it needs is tuned: that, and its scores, are for a GPU if there is one."""
        return any(_is_tuned(trial) for trial in self.trials())

    def trials(self) -> list[Trial]:
        """All that it needs, the label-free one first."""
        return [self.trial] if self.label_free is None else [self.label_free, self.trial]


def entries(recipe: Recipe, run: Store, out: Store, names: Sequence[str], seeds: int) -> list[Entry]:
    """Return every recognizer with every seed. What is not tuned does the same with any, and gets one."""

    def trial(name: Name, seed: int) -> Trial:
        return Trial(recipe, run, name.plain, seed, out, f"trials/{name.plain}/seed-{seed}")

    return [
        Entry(name, trial(parsed, seed), trial(parsed.label_free, seed) if parsed.label_free else None)
        for name, parsed in ((name, parse_name(name)) for name in names)
        for seed in range(seeds if parsed.source != "nothing" else 1)
    ]


def tables(names: Sequence[str]) -> list[str]:
    """Return the tables of photos that the comparison reads."""
    learns = any(parse_name(name).source == "labelled" for name in names)
    return [features.TEST, *([features.TRAIN] if learns else [])]


def complete(plan: Sequence[Entry]) -> Iterator[StageReport]:
    """Tune and score what is missing; yield a report for each recognizer as it is done. Needs an initialised
    Ray and finished features.
    """
    missing = [entry for entry in plan if not entry.is_done()]
    fused = [entry for entry in missing if entry.label_free is not None]
    single = {entry.shard: entry for entry in missing if entry.label_free is None}
    for part in (Entry(trial.method, trial) for entry in fused for trial in entry.trials()):
        if not part.trial.is_done():
            single.setdefault(part.shard, part)
    # One task for each trial: names that differ only in what comes after tuning share its parameters.
    by_trial: dict[str, list[Entry]] = {}
    for entry in single.values():
        by_trial.setdefault(entry.trial.folder, []).append(entry)
    check_input([group[0].trial for group in by_trial.values()])
    yield from _run(list(by_trial.values()))
    yield from _run([[entry] for entry in fused])


def check_input(trials: Sequence[Trial]) -> None:
    """Raise here, before any worker starts, the UserError of features that one of the trials cannot learn
    from, or of a checkpoint that it cannot go on from.
    """
    waiting = [trial for trial in trials if _is_tuned(trial) and not trial.is_done()]
    if waiting:
        from t2ipal.clip import load_backbone
        from t2ipal.tuning.check import InputCheck, check_checkpoint

        check = InputCheck(load_backbone(waiting[0].recipe.backbone))
        for trial in waiting:
            check_checkpoint(trial, check(trial), replaces=True)


def _run(groups: Sequence[Sequence[Entry]]) -> Iterator[StageReport]:
    """Complete groups of entries, each in a task of its own."""
    import ray

    waiting = [_task(group).remote(group) for group in groups]
    try:
        while waiting:
            (ready,), waiting = ray.wait(waiting)
            yield from ray.get(ready)
    finally:
        for task in waiting:
            ray.cancel(task)


def _task(group: Sequence[Entry]) -> Any:
    import ray

    task = ray.remote(complete_here).options(
        num_cpus=CPUS,
        num_gpus=int(_on_gpu(group)),
        max_retries=MAX_RETRIES,
        label_selector=group[0].trial.recipe.tune.workers.labels or None,
    )
    return task  # as a stage's own errors, a trial's are raised where it is waited for


def _on_gpu(group: Sequence[Entry]) -> bool:
    """Say whether a group of entries is for a GPU: where nothing is tuned there is little to compute."""
    return group[0].trial.recipe.tune.gpu and group[0].is_tuned


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
    """Tune what a group of entries is made of, in this process, and score them."""
    from t2ipal.clip import load_backbone
    from t2ipal.tuning.session import run_tuning

    start = time.monotonic()
    for trial in {trial.folder: trial for entry in group for trial in entry.trials()}.values():
        if _is_tuned(trial) and not trial.is_done():
            run_tuning(trial)
    backbone = load_backbone(group[0].trial.recipe.backbone, "cuda" if _on_gpu(group) else "cpu")
    return [_score(entry, backbone, start) for entry in group]


def _score(entry: Entry, backbone: "Backbone", start: float) -> StageReport:
    from t2ipal.evaluation.fitted import fit
    from t2ipal.evaluation.outcome import assess

    trial, recipe = entry.trial, entry.trial.recipe
    method = _load(trial, backbone) if entry.label_free is None else _fuse(entry, backbone)
    standardise = parse_name(entry.name).standardised
    fitted = fit(recipe, trial.source, method, trial.table, standardise, trial.known)
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


def _is_tuned(trial: Trial) -> bool:
    return parse_name(trial.method).source != "nothing"


def _load(trial: Trial, backbone: "Backbone") -> "Method":
    return trial.load(backbone) if _is_tuned(trial) else trial.build(backbone).eval()


def _fuse(entry: Entry, backbone: "Backbone") -> "Method":
    """Both parts as one recognizer, by the recipe's shares."""
    from t2ipal.methods.fusion import Fusion

    settings, limit = entry.trial.recipe.methods.fusion, parse_name(entry.name).limit
    label_free, labelled = ((trial.load(backbone), trial) for trial in entry.trials())
    share = settings.few_shot if limit and limit.kind == "shots" else settings.partial
    return Fusion(label_free[0], labelled[0], (_range(*label_free), _range(*labelled)), share)


def _range(method: "Method", trial: Trial) -> "Range":
    """The range of its scores that becomes 0 to 1."""
    from t2ipal.evaluation.scoring import score_table
    from t2ipal.methods.fusion import Range

    if trial.recipe.methods.fusion.range == "fitted":
        return Range(*trial.store.read_json(trial.result)["range"])
    test, classes = trial.store.shards(features.TEST), len(Vocabulary.load(trial.recipe.vocabulary))
    return Range.of(score_table(method, classes, test, list(test.done())).scores)
