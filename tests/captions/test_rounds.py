from contextlib import ExitStack
from dataclasses import replace

import pytest

from t2ipal.captions.collect import answer_seed
from t2ipal.errors import StoreError, UserError
from tests.captions.writing import ask, rounds
from tests.s3_server import FULL, READ_ONLY
from tests.whole_table import read_all


def complete(each):
    """Write what is missing, return the whole table."""
    each.complete(each.shards.missing(each.plan.shards()))
    assert each.drafts.shards.written() == []
    return read_all(each.shards).to_pylist()


def keys(requests):
    return [(request["index"], request["candidate"]) for request in requests]


def test_only_rejected_captions_are_asked_for_again_and_with_other_seeds(tmp_path):
    asked = []
    each = rounds(tmp_path, ask(asked=asked), attempts=20)
    rows = complete(each)
    assert len(rows) == 12
    tries = {index: [candidate for i, candidate in keys(asked) if i == index] for index in range(12)}
    for index, row in enumerate(rows):
        assert tries[index] == list(range(len(tries[index])))  # none is asked for after it was accepted
        assert row["seed"] == answer_seed(0, index, tries[index][-1]) == sorted(tries_seeds(asked, index))[0]
    assert len({request["sampling_params"]["seed"] for request in asked}) == len(asked) > 12
    accepted = [manifest.extra["accepted"] for manifest in each.shards.done().values()]
    assert [sum(counts) for counts in accepted] == [4, 4, 4]
    assert accepted[0][0] == sum(len(tries[index]) == 1 for index in range(4))


def tries_seeds(asked, index):
    """Return the seeds whose answers name what was asked."""
    seeds = [request["sampling_params"]["seed"] for request in asked if request["index"] == index]
    return [seed for seed in seeds if seed % 10 < 3]


def test_attempts_are_bounded_and_each_has_all_candidates(tmp_path):
    asked = []
    each = rounds(tmp_path, ask(asked=asked), attempts=2, candidates=2)
    rows = complete(each)
    again = {index for index, candidate in keys(asked) if candidate == 2}
    assert set(keys(asked)) == {(i, k) for i in range(12) for k in (0, 1, *((2, 3) if i in again else ()))}
    extras = [manifest.extra for manifest in each.shards.done().values()]
    assert sum(extra["rejected"] for extra in extras) == 12 - len(rows) > 0
    assert all(len(extra["accepted"]) <= 2 for extra in extras)
    assert sum(extra["accepted"][0] for extra in extras) == 12 - len(again)


def test_each_attempt_tells_how_far_it_is(tmp_path):
    asked, told = [], []
    each = replace(rounds(tmp_path, ask(asked=asked), attempts=2, candidates=2), watch=told.append)
    rows = complete(each)
    first = [each for each in told if "attempt" not in each.counts]
    second = told[len(first) :]
    assert [each.done for each in first] == list(range(1, 25))
    assert {(each.planned, each.unit) for each in first} == {(24, "answers")}
    assert [each.done for each in second] == list(range(1, len(asked) - 24 + 1))
    assert {each.planned for each in second} == {len(asked) - 24}
    assert first[-1].counts == {"rejected": (len(asked) - 24) // 2}
    assert second[-1].counts == {"attempt": 2, "rejected": 12 - len(rows)}


def test_one_attempt_needs_no_drafts(tmp_path):
    each = rounds(tmp_path, ask())
    complete(each)
    assert not (tmp_path / "captions" / "_drafts").exists()


@pytest.mark.parametrize("settings", [{"attempts": 3}, {"attempts": 3, "drop_similar": 1.0, "count": 40}])
def test_rows_are_the_same_in_any_order_and_after_any_end(tmp_path, settings):
    undisturbed = complete(rounds(tmp_path / "a", ask(), **settings))
    assert complete(rounds(tmp_path / "b", ask(order=reversed), **settings)) == undisturbed
    for number in (1, 5, 14, 17, 23):  # an end after so many answers, in each attempt

        def killed(shards, make_requests, number=number):
            for count, answer in enumerate(ask()(shards, make_requests)):
                if count == number:
                    raise KeyboardInterrupt
                yield answer

        folder = tmp_path / str(number)
        for _ in range(40):
            try:
                each = rounds(folder, killed, **settings)
                each.complete(each.shards.missing(each.plan.shards()))
                break
            except KeyboardInterrupt:
                number += 1  # else a shard would be larger than what is asked before each end
        each = rounds(folder, ask(), **settings)
        assert complete(each) == undisturbed


def test_an_attempt_that_ended_is_not_made_again(tmp_path):
    def second_attempt(request):
        return request["candidate"] == 1

    with pytest.raises(UserError, match=r"failed on \d+ answers, the first one with no memory"):
        complete(rounds(tmp_path, ask(fails=second_attempt), attempts=2))
    asked = []
    complete(rounds(tmp_path, ask(asked=asked), attempts=2))
    assert {candidate for _, candidate in keys(asked)} == {1}


def test_failures_keep_only_their_shards_open(tmp_path):
    each = rounds(tmp_path, ask(fails=lambda request: request["index"] == 5))
    with pytest.raises(UserError, match=r"failed on 1 answers, the first one with no memory"):
        each.complete(each.plan.shards())
    assert list(each.shards.done()) == ["captions-00000", "captions-00002"]


@pytest.mark.parametrize("settings", [{}, {"attempts": 3, "drop_similar": 1.0}])
def test_answers_that_end_too_early_are_missed(tmp_path, settings):
    def all_but_one(shards, make_requests):
        yield from (each for each in ask()(shards, make_requests) if each.index != 5)

    each = rounds(tmp_path, all_but_one, **settings)
    with pytest.raises(UserError, match=r"1 shards lack some, 'captions-00001' for one"):
        each.complete(each.plan.shards())
    undisturbed = complete(rounds(tmp_path / "whole", ask(), **settings))
    assert complete(rounds(tmp_path, ask(), **settings)) == undisturbed


def test_equal_captions_are_dropped_but_the_first_of_the_plan(tmp_path):
    settings = {"count": 60, "attempts": 20}
    every = complete(rounds(tmp_path / "every", ask(), **settings))
    each = rounds(tmp_path / "distinct", ask(order=reversed), drop_similar=1.0, **settings)
    first = {}
    for row in every:
        first.setdefault(row["text"], row)
    rows = complete(each)
    assert rows == list(first.values())
    assert len(rows) < len(every) == 60
    extras = [manifest.extra for manifest in each.shards.done().values()]
    assert sum(extra["duplicates"] for extra in extras) == 60 - len(rows)
    assert {extra["rejected"] for extra in extras} == {0}


def test_a_shard_that_was_lost_comes_back_the_same_among_distinct_captions(tmp_path):
    each = rounds(tmp_path, ask(), count=60, attempts=20, drop_similar=1.0)
    before = complete(each)
    for lost in (["captions-00000"], ["captions-00007", "captions-00014"]):
        each.shards.delete(lost)
        assert complete(each) == before


def test_an_end_between_commits_of_distinct_captions(tmp_path, monkeypatch):
    settings = {"count": 60, "attempts": 20, "drop_similar": 1.0}
    undisturbed = complete(rounds(tmp_path / "a", ask(), **settings))
    each = rounds(tmp_path / "b", ask(), **settings)
    commit, commits = type(each)._commit, []

    def commit_four(self, name, table, extra):
        if len(commits) == 4:
            raise KeyboardInterrupt
        commits.append(name)
        commit(self, name, table, extra)

    with monkeypatch.context() as patch:
        patch.setattr(type(each), "_commit", commit_four)
        with pytest.raises(KeyboardInterrupt):
            each.complete(each.plan.shards())
    assert len(each.shards.done()) == 4
    asked = []
    assert complete(rounds(tmp_path / "b", ask(asked=asked), **settings)) == undisturbed
    assert asked == []


def drafted(folder, **settings):
    """A run that ended when the first attempt was made, the third row of each shard being left."""
    each = rounds(folder, ask(fails=lambda request: request["candidate"] >= 1), attempts=20, **settings)
    with pytest.raises(UserError, match="no memory"):
        each.complete(each.plan.shards())
    assert each.drafts.shards.written() == each.shards.missing(each.plan.shards()) != []
    return each


def flipped(content):
    """Change a byte of a text, so that the file still is Parquet."""
    at = content.index(b"house")
    return content[:at] + b"m" + content[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: content[:-9], id="cut"),
        pytest.param(lambda content: bytes(len(content)), id="zeros"),
        pytest.param(flipped, id="changed"),
    ],
)
def test_a_draft_that_is_damaged_is_begun_anew(tmp_path, damage):
    undisturbed = complete(rounds(tmp_path / "a", ask(), attempts=20))
    each = drafted(tmp_path / "b")
    name, *others = each.drafts.shards.written()
    path = f"{each.drafts.shards.stage}/{name}.parquet"
    store = each.shards.store
    store.write_bytes(path, damage(store.read_bytes(path)))
    asked = []
    assert complete(rounds(tmp_path / "b", ask(asked=asked), attempts=20)) == undisturbed
    assert {request["shard"] for request in asked if request["candidate"] == 0} == {name}
    assert {request["shard"] for request in asked} == {name, *others}


def test_drafts_of_another_recipe_or_shard_are_removed(tmp_path):
    undisturbed = complete(rounds(tmp_path / "a", ask(), attempts=20))
    each = drafted(tmp_path / "b")
    drafts = each.drafts.shards
    foreign = drafts.written()[0]
    rows, extra = drafts.read(foreign), drafts.done()[foreign].extra
    replace(drafts, fingerprint="another").write(foreign, rows, extra)
    drafts.write("captions-00007", rows, extra)
    asked = []
    each = rounds(tmp_path / "b", ask(asked=asked), attempts=20)
    assert complete(each) == undisturbed
    assert {request["shard"] for request in asked if request["candidate"] == 0} == {foreign}


@pytest.mark.parametrize("why", [FULL, READ_ONLY])
@pytest.mark.parametrize("settings", [{}, {"drop_similar": 1.0}], ids=["", "distinct"])
def test_a_store_that_cannot_be_written_for_a_while(s3, tmp_path, why, settings):
    undisturbed = complete(rounds(tmp_path, ask(), count=24, attempts=4, **settings))
    uri = s3.uri(tmp_path.name)
    with ExitStack() as stack:

        def refused(shards, make_requests):
            for count, answer in enumerate(ask()(shards, make_requests)):
                if count == 18:
                    stack.enter_context(s3.refusing_writes(why))
                yield answer

        each = rounds(uri, refused, count=24, attempts=4, **settings)
        with pytest.raises(StoreError, match=r"(?s)cannot write 'captions/.*make room there"):
            each.complete(each.plan.shards())
    kept = {*each.drafts.shards.done(), *each.shards.done()}
    assert 0 < len(kept) < 6
    asked = []
    assert complete(rounds(uri, ask(asked=asked), count=24, attempts=4, **settings)) == undisturbed
    assert kept.isdisjoint(request["shard"] for request in asked if request["candidate"] == 0)
