import pickle

from t2ipal.captions.collect import answer_seed
from t2ipal.captions.requests import CaptionRequests, PriorRequests
from t2ipal.captions_recipe import PriorRecipe
from t2ipal.seeds import derive_seed
from tests.captions.writing import ask, rounds


def test_the_requests_of_a_shard(tmp_path):
    each = rounds(tmp_path, ask(), candidates=3, max_tokens=2)
    make = CaptionRequests(each.captions, each.vocabulary, each.drafts)
    rows = make("captions-00001")
    assert [(row["index"], row["candidate"]) for row in rows] == [
        (i, k) for i in (4, 5, 6, 7) for k in range(3)
    ]
    assert {row["shard"] for row in rows} == {"captions-00001"}
    name = each.vocabulary.names[each.plan.classes(7)[0]]
    assert rows[-1]["messages"] == [{"role": "user", "content": f"write a caption with {name} ."}]
    assert rows[-1]["sampling_params"] == {"temperature": 0.9, "max_tokens": 2, "seed": answer_seed(0, 7, 2)}


def test_at_a_later_attempt_those_without_a_caption_are_asked_for_wherever_it_runs(tmp_path):
    each = rounds(tmp_path, ask(), candidates=2, attempts=2)
    each._attempt(1, each.plan.shards())
    (name, manifest), *_ = each.drafts.shards.done().items()
    make = pickle.loads(pickle.dumps(CaptionRequests(each.captions, each.vocabulary, each.drafts, 2)))
    rows = make(name)
    accepted = {row["caption_id"] for row in each.drafts.before(name, 2).to_pylist()}
    assert len(accepted) == manifest.extra["accepted"][0] > 0
    open_rows = [row for row in each.plan.rows(name) if f"c{row:08d}" not in accepted]
    assert [(row["index"], row["candidate"]) for row in rows] == [(i, k) for i in open_rows for k in (2, 3)]


def test_every_class_is_asked_about_for_the_prior(tmp_path):
    vocabulary = rounds(tmp_path, ask()).vocabulary
    prompt = "Which of {classes} are seen with {class}?"
    prior = PriorRecipe(prompt=prompt, answers=2, max_tokens=7)
    rows = PriorRequests(prior, prompt, 0.5, vocabulary, seed=3)("prior")
    assert [(row["index"], row["candidate"]) for row in rows] == [(i, k) for i in range(3) for k in (0, 1)]
    assert rows[2]["messages"] == [
        {"role": "user", "content": "Which of fish, tree are seen with house?"},
    ]
    seed = derive_seed(3, "prior", "house", 1)
    assert rows[3]["sampling_params"] == {"temperature": 0.5, "max_tokens": 7, "seed": seed}
