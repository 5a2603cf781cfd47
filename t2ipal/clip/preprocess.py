"""From a PIL image to the backbone's input, and from places in that input back to the image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor
from torchvision.transforms import Compose
from torchvision.transforms.functional import normalize

Box = tuple[
    float, float, float, float
]  # left, top, right, bottom as shares of the width and the height, 0 to 1

LONGEST = 2  # sides of an image of which an input of equal sides shows the middle; longer ones are cut before


@dataclass(frozen=True)
class Preprocess:
    """Resize, crop and normalise as the model's own preprocess configuration says."""

    config: dict[
        str, Any
    ]  # open_clip's preprocess_cfg: size, mean, std, interpolation, resize_mode, fill_color

    def __call__(self, images: Sequence[Image.Image]) -> Tensor:
        """Return [B, 3, H, W] float32."""
        return self.normalise(self.fit(images))

    def fit(self, images: Sequence[Image.Image]) -> Tensor:
        """Return images in the size of the input, [B, H, W, 3] uint8.

        By Pillow and NumPy alone, for any thread beside the model's: torch would give each its own pool of
        threads (`t2ipal.model_thread`).
        """
        # What comes after are open_clip's conversion to RGB, to a tensor, and its normalisation.
        *resize, _, _, _ = image_transform_v2(PreprocessCfg(**self.config), is_train=False).transforms
        shape = Compose(resize)
        shown = [shape(self._bounded(image.convert("RGB"))) for image in images]
        return torch.from_numpy(np.stack([np.asarray(image) for image in shown]))

    def normalise(self, fitted: Tensor) -> Tensor:
        """Return what the model takes [B, 3, H, W] float32 of `fit`'s images, on their device."""
        pixels = fitted.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        mean, std = self.config["mean"], self.config["std"]
        inputs: Tensor = normalize(pixels.div_(255), mean, std, inplace=True)
        return inputs

    def _bounded(self, image: Image.Image) -> Image.Image:
        """Return an image that cannot grow without bound when it is resized; most come back as they are.

        Where the shorter side becomes that of the input, a line of pixels would become gigabytes, all but
        its middle to be thrown away. Where the longer one does, its other side would become no pixel at all.
        """
        size, mode = self.config["size"], self.config["resize_mode"]
        high, wide = (size, size) if isinstance(size, int) else size
        lying = image.width > image.height
        short, long = sorted(image.size)
        keep = LONGEST * short * max(high, wide) // min(high, wide)
        if mode == "shortest" and long > keep:
            cut = (long - keep) // 2  # equally on both sides, so that the middle stays
            return image.crop((cut, 0, long - cut, short) if lying else (0, cut, short, long - cut))
        if mode == "longest" and long > min(high, wide) * short:
            return image.resize((wide, 1) if lying else (1, high))
        return image

    def visible(self, width: int, height: int) -> Box:
        """The part of an image that the input shows; it reaches beyond 0 to 1 where the input is padded."""
        mode = self.config["resize_mode"]
        if mode == "squash":
            return 0.0, 0.0, 1.0, 1.0
        side = min(width, height) if mode == "shortest" else max(width, height)
        across, down = side / width / 2, side / height / 2
        return 0.5 - across, 0.5 - down, 0.5 + across, 0.5 + down


def to_image(box: Box, visible: Box) -> Box:
    """Express a box given in shares of the input as shares of the image, cut at its borders."""
    left, top = visible[0], visible[1]
    across, down = visible[2] - left, visible[3] - top
    corners = (left + box[0] * across, top + box[1] * down, left + box[2] * across, top + box[3] * down)
    x0, y0, x1, y1 = (min(max(value, 0.0), 1.0) for value in corners)
    return x0, y0, x1, y1
