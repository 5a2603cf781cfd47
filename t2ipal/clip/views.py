"""Views of a synthetic image to learn from: the image itself, and crops of it, mirrored or not.

They are drawn once and cached as rows of features beside the image's own, so that a tuned method sees the
same ones whatever computed them. A crop may leave out what the caption names: the filter `images.agreement`
judges each view by itself.
"""

import math
import random

from PIL import Image, ImageOps

from t2ipal.seeds import derive_seed

NARROWEST = 3 / 4  # by how much a crop may be narrower, or less high, than the shape of its image


def draw_view(image: Image.Image, view_id: str, least_area: float, seed: int) -> Image.Image:
    """Return a crop of at least this share of an image's area, mirrored or not, as the id and the recipe's
    seed decide. It is not resized: that the backbone's own preprocessing does.

    Area and, on a logarithmic scale, shape are uniform, as in torchvision's RandomResizedCrop. That one
    takes shapes that do not fit, and then falls back to the middle of a long image, however little it is.
    """
    numbers = random.Random(derive_seed(seed, "view", view_id))
    area = numbers.uniform(least_area, 1.0)
    narrowest = math.log(max(NARROWEST, area))  # or the crop would leave the image
    shape = math.exp(numbers.uniform(narrowest, -narrowest))
    width = min(image.width, math.ceil(image.width * math.sqrt(area * shape)))
    height = min(image.height, math.ceil(image.height * math.sqrt(area / shape)))
    left, top = numbers.randint(0, image.width - width), numbers.randint(0, image.height - height)
    crop = image.crop((left, top, left + width, top + height))
    return ImageOps.mirror(crop) if numbers.random() < 0.5 else crop
