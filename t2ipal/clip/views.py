"""Views of a synthetic image to learn from: the image itself, and crops of it, mirrored or not.

They are drawn once and cached as rows of features beside the image's own, so that a tuned method sees the
same ones whatever computed them. A crop may leave out what the caption names: the filter `images.agreement`
judges each view by itself.
"""

import torch
from PIL import Image, ImageOps
from torchvision.transforms import RandomResizedCrop  # type: ignore[import-untyped]

from t2ipal.seeds import derive_seed

RATIO = (3 / 4, 4 / 3)  # of a crop's width and height, as CLIP and most others were trained with


def draw_view(image: Image.Image, view_id: str, least_area: float, seed: int) -> Image.Image:
    """Return a crop of at least this share of an image's area, mirrored or not, as the id and the recipe's
    seed decide. It is not resized: that the backbone's own preprocessing does.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "view", view_id))
        top, left, height, width = RandomResizedCrop.get_params(
            image, scale=[least_area, 1.0], ratio=list(RATIO)
        )
        mirrored = bool(torch.rand(()) < 0.5)
    crop = image.crop((left, top, left + width, top + height))
    return ImageOps.mirror(crop) if mirrored else crop
