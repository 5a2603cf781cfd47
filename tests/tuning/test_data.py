import pytest
import torch

from t2ipal.method_settings import Schedule
from t2ipal.methods.base import Phase
from t2ipal.methods.randomness import StepRandom
from t2ipal.tuning.data import TuningSet, epoch_steps
from tests.tuning.tiny_set import tiny_set

CPU = torch.device("cpu")


def rows(steps):
    return [row for step in steps for row in step.rows[step.counts].tolist()]


def test_an_epoch_sees_every_row_once_in_an_order_of_its_own():
    first, again, second = (epoch_steps(23, 5, epoch, 0, 0, 1) for epoch in (0, 0, 1))
    assert sorted(rows(first)) == list(range(23))
    assert [step.total for step in first] == [5, 5, 5, 5, 3]
    assert rows(first) == rows(again)
    assert rows(first) != rows(second)
    assert rows(first) != rows(epoch_steps(23, 5, 0, 1, 0, 1))


@pytest.mark.parametrize("ranks", [2, 3, 7])
def test_ranks_share_the_same_batches(ranks):
    whole = epoch_steps(23, 5, 0, 0, 0, 1)
    parts = [epoch_steps(23, 5, 0, 0, rank, ranks) for rank in range(ranks)]
    for i, step in enumerate(whole):
        together = torch.cat([part[i].rows[part[i].counts] for part in parts])
        assert torch.equal(together, step.rows)
        places = torch.cat([part[i].places[part[i].counts] for part in parts])
        assert places.tolist() == list(range(step.total))
        assert len({len(part[i].rows) for part in parts}) == 1  # collectives need parts of one length
        assert {part[i].total for part in parts} == {step.total}


def phase(kind, templates=0):
    return Phase("tune", kind, Schedule(), {}, templates=templates)


def test_templates_are_copied_as_often_as_a_phase_asks():
    data = tiny_set()
    assert data.rows(phase("captions")).tolist() == list(range(23))
    assert data.rows(phase("captions", 1)).tolist() == list(range(29))
    assert data.rows(phase("captions", 3)).tolist() == [*range(23), *[23, 24, 25] * 3, 26, 27, 28]
    assert data.rows(phase("images", 3)).tolist() == list(range(23))


def test_a_batch_of_images_has_the_captions_of_its_images():
    data = tiny_set()
    seen, said, wanted = data.images.features, data.captions.features, torch.tensor([4, 0, 22])
    random = StepRandom(0, torch.arange(3), 3, CPU)
    batch = data.batch(phase("images"), wanted, random, CPU)
    assert torch.equal(batch.labels, data.images.labels[wanted])
    assert torch.equal(batch.images.whole, seen.whole[wanted].float())
    assert torch.equal(batch.images.patches, seen.patches[wanted].float())
    places = 22 - wanted  # the captions of the tiny set are in the opposite order
    for found, table in zip(batch.captions, said, strict=True):
        assert torch.equal(found, table[places].to(found.dtype))
    assert torch.equal(data.captions.labels[places], batch.labels)
    assert batch.random is random


def test_a_batch_of_captions_has_no_images():
    data, wanted = tiny_set(), torch.tensor([28, 3, 24])
    batch = data.batch(phase("captions"), wanted, StepRandom(0, torch.arange(3), 3, CPU), CPU)
    assert batch.images is None
    assert torch.equal(batch.labels, data.captions.labels[wanted])
    assert torch.equal(batch.captions.mask, data.captions.features.mask[wanted])
    assert batch.captions.tokens.dtype == torch.float32


def test_photos_have_no_captions_and_captions_alone_no_images():
    data = tiny_set()
    with pytest.raises(ValueError, match="no captions"):
        TuningSet(data.images, None).rows(phase("captions"))
    with pytest.raises(ValueError, match="no images"):
        TuningSet(None, data.captions).rows(phase("images"))


def test_images_in_order():
    data = tiny_set()
    parts = list(data.in_order(5, CPU))
    assert [len(labels) for _, labels in parts] == [5, 5, 5, 5, 3]
    assert torch.equal(torch.cat([labels for _, labels in parts]), data.images.labels)
    assert torch.equal(torch.cat([seen.patches for seen, _ in parts]), data.images.features.patches.float())


def test_labels_that_nobody_knows_any_more():
    data, generator = tiny_set(), torch.Generator().manual_seed(1)
    first, second = (torch.rand(23, 3, generator=generator) < 0.3 for _ in range(2))
    once = data.without_labels(first)
    twice = once.without_labels(second)
    assert (first & data.images.labels).any()
    assert (second & ~first & data.images.labels).any()
    assert data.images.known is None
    wanted, random = torch.tensor([4, 0, 22, 9]), StepRandom(0, torch.arange(4), 4, CPU)
    before = data.batch(phase("images"), wanted, random, CPU)
    assert before.known is None
    for changed, unknown in ((once, first), (twice, first | second)):
        found = torch.cat([labels for _, labels in changed.in_order(5, CPU)])
        assert torch.equal(found, data.images.labels & ~unknown)
        batch = changed.batch(phase("images"), wanted, random, CPU)
        assert torch.equal(batch.known, ~unknown[wanted])
        # What captions and images are, and what is said of them, stays.
        assert torch.equal(batch.labels, before.labels)
        for now, then in zip(
            (*batch.images, *batch.captions), (*before.images, *before.captions), strict=True
        ):
            assert torch.equal(now, then)
        assert changed.batch(phase("captions"), wanted, random, CPU).known is None
        assert changed.captions is data.captions
