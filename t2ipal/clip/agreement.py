"""How well an image and its caption agree, for the frozen CLIP.

Shapes: N images, C classes, D embedding width; features are L2-normalised.
"""

import torch
from torch import Tensor


def similarity(images: Tensor, captions: Tensor) -> Tensor:
    """Cosine similarity [N] of each image [N, D] and its own caption [N, D]."""
    return (images.float() * captions.float()).sum(dim=1)


def rank(images: Tensor, classes: Tensor, labels: Tensor) -> Tensor:
    """Rank [N] of the class, of those that a caption names (`labels` [N, C]), that the image [N, D] shows
    least: 1 and the number of other classes that it is more similar to, from their features [C, D].

    Classes that the caption names do not stand in each other's way. 1 where it names none.
    """
    scores = images.float() @ classes.float().T
    named, other = scores.masked_fill(~labels, torch.inf), scores.masked_fill(labels, -torch.inf)
    return 1 + (other > named.amin(dim=1, keepdim=True)).sum(dim=1)
