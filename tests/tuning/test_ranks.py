"""Two and four processes over gloo do what one does."""

import os
import socket

import pytest
import torch
import torch.multiprocessing as multiprocessing
from accelerate import Accelerator

from t2ipal.methods.base import tuned_parameters
from t2ipal.tuning.loop import tune
from tests.tuning.tiny_set import PIXELS, tiny_method, tiny_set, tiny_settings

# 23 rows in batches of 5: no batch splits evenly. With the class-wise term, ranks need each other's rows and
# what is known of them; noise and dropout have to be those of the same rows, and pseudo images the same on
# all ranks.
SETTINGS = tiny_settings(
    epochs=2,
    optimizer="sgd",
    t2i_pal={"class_ranking": 0.5, "prompt_lr": 0.05, "head_lr": 0.05, "schedule": {"warmup_epochs": 0}},
    pvp={
        **PIXELS,
        "noise": 0.3,
        "prompt_lr": 0.05,
        "adapter_lr": 0.05,
        "schedule": {"warmup_epochs": 0},
    },
)
DOUBTING = SETTINGS.model_copy(
    update={
        "pvp": SETTINGS.pvp.model_copy(update={"pretrain": tiny_settings(epochs=2).pvp.pretrain}),
        "t2i_pal_pvp": SETTINGS.t2i_pal_pvp.model_copy(update={"doubt": 0.4}),
    }
)
METHODS = {"t2i_pal": SETTINGS, "pvp": SETTINGS, "t2i_pal_pvp": DOUBTING}


def _tune(names=tuple(METHODS), accumulate=1):
    # Only pvp has parts of a batch: the others rank within classes.
    return {name: _tune_one(name, METHODS[name], accumulate if name == "pvp" else 1) for name in names}


def _tune_one(name, settings, accumulate):
    method = tiny_method(name, settings)
    log = tune(method, tiny_set(), 0, Accelerator(cpu=True), lambda checkpoint: None, None, accumulate)
    return tuned_parameters(method), log


def _rank(rank, ranks, names, accumulate, port, path):
    os.environ.update(
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), LOCAL_RANK=str(rank),
        WORLD_SIZE=str(ranks), GLOO_SOCKET_IFNAME="lo",
    )  # fmt: skip
    result = _tune(names, accumulate)
    assert torch.distributed.get_world_size() == ranks
    torch.save(result, f"{path}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def alone():
    return _tune()


# With 4 ranks most batches leave some rank less than the others, and the last one leaves one without a row.
@pytest.mark.parametrize(("ranks", "names", "accumulate"), [(2, tuple(METHODS), 2), (4, ("t2i_pal",), 1)])
def test_ranks_give_the_result_of_one(alone, ranks, names, accumulate, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    multiprocessing.spawn(_rank, (ranks, names, accumulate, port, tmp_path), nprocs=ranks)
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, ranks - 1))
    for name in names:
        parameters, alone_log = alone[name]
        (first, log), (second, _) = one[name], other[name]
        start = tuned_parameters(tiny_method(name, METHODS[name]))
        for each, value in parameters.items():
            assert torch.equal(first[each], second[each])
            assert (value - start[each]).abs().max() > 1e-3, each
            torch.testing.assert_close(first[each], value, atol=1e-5, rtol=1e-4)
        for together, by_itself in zip(log, alone_log, strict=True):
            assert abs(together["loss"] - by_itself["loss"]) < 1e-4
