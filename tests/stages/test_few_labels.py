"""DualCoOp on few labels and fused recognizers, from features to figures, in this process."""

import numpy as np
import pytest
import torch

from t2ipal.clip.feature_tables import read_images, read_labels
from t2ipal.errors import UserError
from t2ipal.evaluation.fitted import fit
from t2ipal.method_names import parse_name
from t2ipal.method_settings import DualCoOpSettings, FusionSettings, Schedule
from t2ipal.methods import Images
from t2ipal.stages import compare, features
from t2ipal.store import Store
from t2ipal.tuning import session
from t2ipal.tuning.load import load_tuning_set
from t2ipal.tuning.source import LABELLED, is_held_out
from tests.finished_images import compute_features, finished_images
from tests.tiny_clip import tiny_backbone
from tests.whole_table import read_all

SHOTS, LABELS = "dual_coop-shots-3", "dual_coop-labels-50"
FUSED = f"t2i_pal+{SHOTS}"
NAMES = [SHOTS, LABELS, FUSED, f"tai_dpt+{LABELS}", f"{LABELS}_standardised"]
QUICK = DualCoOpSettings(
    context=4, prompt_lr=0.02, schedule=Schedule(epochs=3, batch=4, optimizer="adamw", warmup_epochs=0)
)


def with_methods(recipe, **changes):
    return recipe.model_copy(update={"methods": recipe.methods.model_copy(update=changes)})


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A recipe, a run with the features of its images, and a folder with those of the photos."""
    folder = tmp_path_factory.mktemp("few-labels")
    recipe, run = finished_images(folder)
    recipe = with_methods(recipe, dual_coop=QUICK)
    compute_features(recipe, run, features.OF_TUNING)
    out = Store.open(str(folder / "out"))
    out.claim(recipe, ("test_features", "train_features"))
    compute_features(recipe, out, compare.tables(NAMES))
    return recipe, run, out


@pytest.fixture(scope="module")
def scored(photos):
    """The same with every name scored, and the methods that were tuned for it, in order."""
    recipe, run, out = photos
    tuned = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "tune", counted(tuned))
        for entry in compare.entries(recipe, run, out, NAMES, 1):
            (report,) = compare.complete_here([entry])
            assert report.rows == 12
    return recipe, run, out, tuned


def counted(tuned):
    tune = session.tune

    def counting(method, data, *arguments):
        tuned.append((type(method).__name__, len(data)))
        return tune(method, data, *arguments)

    return counting


def entry_of(scored, name, recipe=None):
    own, run, out, *_ = scored
    (entry,) = compare.entries(recipe or own, run, out, [name], 1)
    return entry


def scores_of(scored, name):
    table = scored[2].shards(compare.TABLE).read(f"{name}-seed-0")
    return np.array(table["scores"].to_pylist(), dtype=np.float32)


def test_each_part_is_tuned_once(scored):
    assert [name for name, _ in scored[3]] == ["DualCoOp", "DualCoOp", "T2IPal", "TaIDPT"]


def test_every_recognizer_has_figures_and_its_differences(scored):
    recipe, run, out, _ = scored
    plan = compare.entries(recipe, run, out, NAMES, 1)
    assert all(entry.is_done() for entry in plan)
    figures = compare.summary(plan, recipe, out)
    assert list(figures["methods"]) == NAMES
    assert all(0 < each["mAP"]["mean"] <= 100 for each in figures["methods"].values())
    assert set(figures["methods"][FUSED]["parts"]) == {"label_free", "labelled"}
    assert [(each["ours"], each["theirs"]) for each in figures["differences"]] == [
        (FUSED, SHOTS),
        (f"tai_dpt+{LABELS}", LABELS),
    ]


@pytest.mark.parametrize(("name", "share"), [(FUSED, 0.6), (f"tai_dpt+{LABELS}", 0.9)])
@pytest.mark.parametrize("which", ["fitted", "scored"])
def test_a_fused_score_is_that_of_its_parts(scored, name, share, which):
    recipe, _, out, _ = scored
    recipe = with_methods(recipe, fusion=FusionSettings(range=which))
    entry = entry_of(scored, name, recipe)
    compare.complete_here([entry])
    backbone, (test,) = tiny_backbone("resnet"), out.shards("test_features").done()
    images = Images(*(table.float() for table in read_images(out.shards("test_features").read(test))))
    expected = 0
    for trial, weight in zip(entry.trials(), (1 - share, share), strict=True):
        scores = trial.load(backbone).scores(images).double().numpy()
        low, high = trial.store.read_json(trial.result)["range"]
        if which == "scored":
            low, high = scores.min(), scores.max()
        expected = expected + weight * (scores - low) / (high - low)
    np.testing.assert_allclose(scores_of(scored, name), expected, atol=1e-5)


def of_photos(scored, name):
    """Of a trial on labelled photos: their ids, which are held out, and which it knows something of."""
    trial, shards = entry_of(scored, name).trial, scored[2].shards(LABELLED)
    table = read_all(shards)
    labels, ids = read_labels(table, 3).numpy(), table["image_id"].to_pylist()
    held = np.array([is_held_out(each, trial.recipe) for each in ids])
    return trial, table, held, trial.known(labels & ~held[:, None], ids).any(axis=1)


@pytest.mark.parametrize("name", [SHOTS, LABELS])
def test_the_range_is_that_of_held_out_photos_or_of_the_shots(scored, name):
    trial, table, held, told = of_photos(scored, name)
    rows = told if name == SHOTS else told & held
    assert rows.sum() == 5
    assert name == LABELS or not (rows & held).any()
    images = Images(*(part[torch.from_numpy(rows)].float() for part in read_images(table)))
    scores = trial.load(tiny_backbone("resnet")).scores(images)
    found = trial.store.read_json(trial.result)["range"]
    np.testing.assert_allclose(found, [scores.min(), scores.max()], atol=1e-6)


def test_no_shot_is_spent_on_what_is_held_out(scored):
    recipe, _, out, _ = scored
    method = entry_of(scored, LABELS).trial.load(tiny_backbone("resnet"))
    asked = []

    def known(labels, ids):
        asked.append((labels, np.array([is_held_out(each, recipe) for each in ids])))
        return np.ones_like(labels)

    fit(recipe, out, method, LABELLED, known=known)
    ((labels, held),) = asked
    assert held.any()
    assert not labels[held].any()
    assert labels[~held].any()


@pytest.mark.parametrize("name", [SHOTS, LABELS])
def test_tuning_gets_what_is_known_and_nothing_else(scored, name):
    recipe, _, out, _ = scored
    trial = entry_of(scored, name).trial
    everything = load_tuning_set(recipe, out, LABELLED, tiny_backbone("resnet"), False).images
    few = load_tuning_set(recipe, out, LABELLED, tiny_backbone("resnet"), False, known=trial.known).images
    assert everything.known is None
    assert len(few.labels) < len(everything.labels) if name == SHOTS else not few.known.all()
    assert few.known.any(dim=1).all()
    assert not (few.labels & ~few.known).any()
    place = [int((everything.features.whole == each).all(dim=1).nonzero()) for each in few.features.whole]
    assert torch.equal(few.labels, everything.labels[place] & few.known)


def test_seeds_know_other_labels(scored):
    recipe, run, out, _ = scored
    first, second = (entry.trial for entry in compare.entries(recipe, run, out, [LABELS], 2))
    labels, ids = np.zeros((12, 3), dtype=bool), [f"{i}" for i in range(12)]
    assert (first.known(labels, ids) != second.known(labels, ids)).any()


def test_no_known_label_at_all_is_reported(photos):
    recipe, _, out = photos
    with pytest.raises(UserError, match="of none of the"):
        load_tuning_set(
            recipe, out, LABELLED, tiny_backbone("resnet"), False, known=lambda labels, ids: labels & False
        )


def test_what_is_done_is_passed_over_and_other_settings_are_not(scored):
    recipe = scored[0]
    assert entry_of(scored, FUSED).trial.method == SHOTS
    assert [trial.method for trial in entry_of(scored, FUSED).trials()] == ["t2i_pal", SHOTS]
    compare.complete_here([entry_of(scored, FUSED)])
    other = with_methods(recipe, fusion=FusionSettings(few_shot=0.5))
    assert entry_of(scored, SHOTS, other).is_done()
    assert not entry_of(scored, FUSED, other).is_done()
    assert entry_of(scored, FUSED, other).trial.is_done()
    for section in ("t2i_pal", "dual_coop"):
        changed = getattr(recipe.methods, section).model_copy(update={"context": 3})
        assert not entry_of(scored, FUSED, with_methods(recipe, **{section: changed})).is_done()


def test_tuning_goes_on_from_its_last_checkpoint(photos, scored, tmp_path, monkeypatch):
    recipe, run, out = photos
    again = Store.open(str(tmp_path / "out"))
    again.claim(recipe, ("test_features", "train_features"))
    for table in compare.tables([LABELS]):
        for name, manifest in out.shards(table).done().items():
            again.shards(table).write(name, out.shards(table).read(name), manifest.extra)
    (entry,) = compare.entries(recipe, run, again, [LABELS], 1)

    def stop(trial, checkpoint, made_from, write=session._write_checkpoint):
        write(trial, checkpoint, made_from)
        if checkpoint.epochs == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(session, "_write_checkpoint", stop)
        with pytest.raises(KeyboardInterrupt):
            compare.complete_here([entry])
    steps = []
    session.run_tuning(entry.trial, steps.append)
    assert [step["epoch"] for step in steps] == [3]
    straight = entry_of(scored, LABELS).trial
    assert entry.trial.store.read_bytes(entry.trial.tuned) == straight.store.read_bytes(straight.tuned)


def test_a_standardised_one_shares_the_trial():
    assert parse_name(f"{LABELS}_standardised").plain == LABELS
