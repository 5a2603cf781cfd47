import torch

from t2ipal.tuning.ragged import Ragged


def test_rows_are_padded_with_zeros_to_the_longest_of_all():
    rows = [torch.full((length, 2), float(i + 1)) for i, length in enumerate([2, 1, 4, 1])]
    ragged = Ragged(torch.cat(rows), torch.tensor([len(row) for row in rows]))
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    for taken in ([0, 1, 2, 3], [3], [1, 1, 0], []):
        assert torch.equal(ragged[torch.tensor(taken, dtype=torch.long)], padded[taken])
    assert torch.equal(ragged.mask, padded[:, :, 0] > 0)
