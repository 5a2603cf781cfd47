import torch
from torch import nn

from t2ipal.methods.encoded import EncodedParameters


class Doubled(EncodedParameters[torch.Tensor]):
    def __init__(self):
        super().__init__()
        self.number = nn.Parameter(torch.tensor(1.0))
        self.calls = 0

    def _encode(self):
        self.calls += 1
        return 2 * self.number


def test_in_training_they_are_encoded_at_every_call_with_gradients():
    doubled = Doubled().train()
    (doubled() + doubled()).backward()
    assert doubled.calls == 2
    assert doubled.number.grad == 4
    with torch.no_grad():
        assert not doubled().requires_grad


def test_in_use_they_are_encoded_once_without_gradients():
    doubled = Doubled().eval()
    assert doubled() is doubled()
    assert doubled.calls == 1
    assert not doubled().requires_grad


def test_a_change_of_mode_forgets_what_was_encoded():
    doubled = Doubled().eval()
    doubled()
    doubled.load_state_dict({"number": torch.tensor(3.0)})
    assert doubled.eval()() == 6
    assert doubled.train()().requires_grad
