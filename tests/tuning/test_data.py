import pytest
import torch

from t2ipal.tuning.data import epoch_steps


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
        assert len({len(part[i].rows) for part in parts}) == 1  # collectives need parts of one length
        assert {part[i].total for part in parts} == {step.total}
