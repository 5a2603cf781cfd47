"""Two processes over gloo do what one does."""

import os
import socket

import torch
import torch.multiprocessing as multiprocessing
from accelerate import Accelerator

from t2ipal.tuning.checkpoint import tuned_parameters
from t2ipal.tuning.loop import tune
from tests.tuning.tiny_set import tiny_method, tiny_recipe, tiny_set

# 23 rows in batches of 5: no batch splits evenly. With the class-wise term, ranks need each other's rows.
RECIPE = tiny_recipe(
    epochs=2, warmup_epochs=0, class_ranking=0.5, optimizer="sgd", prompt_lr=0.05, head_lr=0.05
)


def _tune():
    method = tiny_method(RECIPE)
    log = tune(method, tiny_set(), RECIPE, 0, Accelerator(cpu=True), lambda checkpoint: None)
    return tuned_parameters(method), log


def _rank(rank, port, path):
    os.environ.update(
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2",
        GLOO_SOCKET_IFNAME="lo",
    )  # fmt: skip
    result = _tune()
    assert torch.distributed.get_world_size() == 2
    torch.save(result, f"{path}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_ranks_give_the_result_of_one(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    multiprocessing.spawn(_rank, (port, tmp_path), nprocs=2)
    (first, log), (second, _) = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    alone, alone_log = _tune()
    start = tuned_parameters(tiny_method(RECIPE))
    for name, value in alone.items():
        assert torch.equal(first[name], second[name])
        assert (value - start[name]).abs().max() > 1e-3
        torch.testing.assert_close(first[name], value, atol=1e-5, rtol=1e-4)
    for one, two in zip(alone_log, log, strict=True):
        assert abs(one["loss"] - two["loss"]) < 1e-4
