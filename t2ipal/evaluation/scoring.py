"""Scores of many images from their frozen features."""

import numpy as np
import torch
from torch import Tensor

from t2ipal.evaluation.metrics import Scores
from t2ipal.methods.base import Images, Method


def score(
    method: Method, whole: Tensor, patches: Tensor, batch: int = 256
) -> tuple[Scores, dict[str, Scores]]:
    """The fused scores and those of each part, [N, C], of features [N, D] and [N, P, D], on the method's
    device.
    """
    method.eval()
    device = next((parameter.device for parameter in method.parameters()), torch.device("cpu"))
    fused: list[Scores] = []
    parts: dict[str, list[Scores]] = {}
    for at in range(0, len(whole), batch):
        rows = slice(at, at + batch)
        answer = method.parts(Images(whole[rows].to(device).float(), patches[rows].to(device).float()))
        fused.append(method.fuse(answer).cpu().numpy())
        for name, part in answer.items():
            parts.setdefault(name, []).append(part.cpu().numpy())
    return np.concatenate(fused), {name: np.concatenate(tables) for name, tables in parts.items()}
