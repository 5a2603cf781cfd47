import sys
from dataclasses import replace

import pytest

from t2ipal.captions.collect import Answer, Collector, answer_seed
from t2ipal.captions.drafts import Drafts
from t2ipal.captions.plan import CaptionPlan
from t2ipal.captions.prior import prior_of
from t2ipal.captions.rounds import Rounds
from t2ipal.errors import UserError
from t2ipal.run_files import CAPTION_DRAFTS, CAPTION_REPORT
from t2ipal.stages import captions
from t2ipal.stages.engine import WHOLE_ANSWER, engine_arguments, engine_config
from t2ipal.store import Store
from t2ipal.vocabulary import Vocabulary
from tests.captions.writing import ask
from tests.recipes import tiny_recipe
from tests.tiny_models import save_writer
from tests.whole_table import read_all

# One class has a name that is longer than the model's context.
LONG = "very " * 40 + "long thing"
VOCABULARY = {"fish": [], "house": [], "tree": [], LONG: []}


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("writer")
    save_writer(folder, ["fish", "house", "tree", "write", "caption", "with", "very", "long", "thing", "."])
    return folder


@pytest.fixture(scope="module")
def recipe(writer):
    return tiny_recipe(
        vocabulary=VOCABULARY,
        captions={
            "model": str(writer),
            "count": 16,
            "shard_rows": 2,
            "candidates": 4,
            "max_tokens": 2,
            "engine": {"max_model_len": 32, "enforce_eager": True, "dtype": "float32"},
            "workers": {"cpus": 0.5},
        },
    )


def claimed(folder, recipe):
    store = Store.open(str(folder))
    store.claim(recipe)
    return store


@pytest.mark.timeout(600)
def test_the_engine_writes_what_it_can_and_says_what_it_could_not(ray_cluster, recipe, tmp_path):
    store = claimed(tmp_path, recipe)
    plan, vocabulary = CaptionPlan.of(recipe), Vocabulary.load(recipe.vocabulary)
    too_long = [shard for shard in plan.shards() if (3,) in [plan.classes(row) for row in plan.rows(shard)]]
    assert 0 < len(too_long) < len(plan.shards())

    # 4 captions of the long class, 4 candidates each
    with pytest.raises(UserError, match=r"failed on 16 answers, the first one with .*maximum context length"):
        captions.run(recipe, store)

    assert captions.pending(recipe, store) == too_long
    done = store.shards("captions").done()
    assert set(done) == set(plan.shards()) - set(too_long)
    rows = read_all(store.shards("captions")).to_pylist()
    assert rows  # of random words some are right
    for row in rows:
        index = int(row["caption_id"][1:])
        assert row["labels"] == row["requested"] == list(plan.classes(index))
        assert vocabulary.labels(row["text"]) == tuple(row["labels"])
        assert row["seed"] in [answer_seed(recipe.seed, index, candidate) for candidate in range(4)]
    kept = sum(manifest.extra["kept"] for manifest in done.values())
    assert kept == len(rows) == sum(manifest.rows for manifest in done.values())
    assert {manifest.extra["asked"] for manifest in done.values()} == {2}


@pytest.mark.timeout(600)
def test_an_engine_goes_on_with_the_attempt_in_which_a_job_ended(ray_cluster, writer, tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("a fish in a house\n" * 9)
    recipe = tiny_recipe(
        captions={
            "model": str(writer),
            "classes_per_caption": [1, 2],
            "candidates": 16,
            "attempts": 2,
            "drop_similar": 1.0,
            "max_tokens": 3,
            "engine": {"max_model_len": 64, "enforce_eager": True, "dtype": "float32"},
            "workers": {"cpus": 0.5},
            "prior": {"corpus": str(corpus), "uniform": 0.01},
        }
    )
    store = claimed(tmp_path / "run", recipe)

    def no_more(request):  # in the second attempt
        return request["candidate"] >= 16

    def first_attempt(shards, make_requests):
        """Name what is asked in row 0, in its first answer."""
        for answer in ask(fails=no_more)(shards, make_requests):
            right = (answer.index, answer.candidate) == (0, 0)
            yield replace(answer, text=f"the {' and the '.join(names)}" if right else "nothing")

    vocabulary = Vocabulary.load(recipe.vocabulary)
    prior = prior_of(recipe.captions, vocabulary, recipe.seed, store, first_attempt)
    plan = CaptionPlan.of(recipe, prior)
    names = [vocabulary.names[i] for i in plan.classes(0)]
    rounds = Rounds(recipe.captions, plan, vocabulary, store.shards("captions"), first_attempt)
    with pytest.raises(UserError, match="no memory"):
        rounds.complete(plan.shards())

    captions.run(recipe, store)
    rows = {int(row["caption_id"][1:]): row for row in read_all(store.shards("captions")).to_pylist()}
    assert rows[0]["text"] == f"the {' and the '.join(names)}"
    assert rows[0]["seed"] == answer_seed(recipe.seed, 0, 0)
    assert len(rows) > 1  # of random words some are right
    for index in set(rows) - {0}:
        assert rows[index]["labels"] == sorted(plan.classes(index))
        assert vocabulary.labels(rows[index]["text"]) == tuple(rows[index]["labels"])
        assert rows[index]["seed"] in [answer_seed(recipe.seed, index, k) for k in range(16, 32)]
    report = store.read_json(CAPTION_REPORT)
    assert report["accepted"] == [1, report["asked"] - report["rejected"] - 1]
    assert len(rows) == report["asked"] - report["rejected"] - report["duplicates"]
    assert rounds.drafts.shards.written() == []


def finish(store, recipe, texts):
    """Write all shards; each row's answer is the next of `texts`."""
    plan = CaptionPlan.of(recipe)
    collector = Collector(plan, Vocabulary.load(recipe.vocabulary), 1, "model")
    answers = iter(texts)
    for shard in plan.shards():
        for row in plan.rows(shard):
            table = collector.add(Answer(shard, row, 0, next(answers)))
        asked, kept = len(plan.rows(shard)), table.num_rows
        extra = {"asked": asked, "rejected": asked - kept, "duplicates": 0, "accepted": [kept]}
        extra |= {"rejections": collector.rejections.get(shard, [])}
        store.shards("captions").write(shard, table, extra)


def test_a_finished_stage_starts_no_engine(recipe, tmp_path, monkeypatch):
    store, plan = claimed(tmp_path, recipe), CaptionPlan.of(recipe)
    name = Vocabulary.load(recipe.vocabulary).names[plan.classes(0)[0]]
    finish(store, recipe, [f"a {name}", *["nothing"] * 15])
    monkeypatch.setitem(sys.modules, "ray.data.llm", None)  # importing it would fail
    assert captions.pending(recipe, store) == []
    report = captions.run(recipe, store)
    assert report.already_complete
    assert (report.rows, report.shards_total) == (1, 8)
    assert report.notes == {
        "asked": 16,
        "rejected": 15,
        "acceptance": 1 / 16,
        "per class": "0 to 1",
        "pairs": "0 of 6",
    }
    told = store.read_json(CAPTION_REPORT)
    assert told["classes"][name] == 1
    assert {rejection["answer"] for rejection in told["rejections"]} == {"nothing"}
    assert report.warning.startswith("no caption names ")
    assert name not in report.warning


def test_a_finished_stage_leaves_no_drafts(recipe, tmp_path):
    store, plan = claimed(tmp_path, recipe), CaptionPlan.of(recipe)
    finish(store, recipe, [f"a {Vocabulary.load(recipe.vocabulary).names[plan.classes(0)[0]]}"] * 16)
    drafts = Drafts.of(plan, store.shards("captions")).shards
    name = plan.shards()[0]
    drafts.write(name, drafts.store.shards("captions").read(name), {"accepted": [1]})
    store.write_bytes(f"{CAPTION_DRAFTS}/captions-00001.parquet", b"torn")
    assert captions.run(recipe, store).already_complete
    assert sorted(path.name for path in (tmp_path / "captions").glob("_*")) == ["_manifests", "_report.json"]


def test_no_caption_at_all_ends_the_stage(recipe, tmp_path):
    store = claimed(tmp_path, recipe)
    finish(store, recipe, ["As a language model"] * 16)
    with pytest.raises(UserError, match=r"none names exactly .*: 'As a language model'\n.*captions\.prompt"):
        captions.run(recipe, store)


def test_a_damaged_model_folder(recipe, tmp_path):
    (tmp_path / "model").mkdir()
    model = {"model": str(tmp_path / "model")}
    broken = recipe.model_copy(update={"captions": recipe.captions.model_copy(update=model)})
    with pytest.raises(UserError, match=r"captions\.model: the model folder .* has no config\.json"):
        captions.run(broken, claimed(tmp_path / "run", broken))


@pytest.mark.parametrize(
    ("workers", "engine", "bundle"),
    [
        ({"cpus": 2}, {}, {"CPU": 2.0, "GPU": 0.0}),
        ({"cpus": 4, "gpus": 2}, {"tensor_parallel_size": 2}, {"CPU": 2.0, "GPU": 1.0}),
        ({"gpus": 4}, {"tensor_parallel_size": 2, "pipeline_parallel_size": 2}, {"CPU": 1.0, "GPU": 1.0}),
        ({"cpus": 0.5, "gpus": 0.5}, {}, {"CPU": 0.5, "GPU": 0.5}),
    ],
)
def test_where_the_engine_runs(recipe, workers, engine, bundle):
    changed = tiny_recipe(captions={"workers": {"min": 2, "max": 8, **workers}, "engine": engine}).captions
    config = engine_config(changed, "model", shards=5)
    assert config.placement_group_config["bundle_per_worker"] == bundle
    assert config.concurrency == (2, 5)  # no more engines than there is work for
    assert engine_config(changed, "model", shards=1).concurrency == (1, 1)
    on_cpu = "VLLM_CPU_KVCACHE_SPACE" in config.runtime_env["env_vars"]
    assert on_cpu == (bundle["GPU"] == 0)


def test_the_engine_hands_an_answer_over_when_it_is_whole_unless_the_recipe_says_otherwise():
    assert engine_arguments(tiny_recipe().captions)["stream_interval"] == WHOLE_ANSWER
    asked = tiny_recipe(captions={"engine": {"stream_interval": 3}}).captions
    assert engine_arguments(asked)["stream_interval"] == 3
