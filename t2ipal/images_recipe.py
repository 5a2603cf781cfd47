"""The section `images` of a recipe."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, Strict, field_validator, model_validator

from t2ipal.section import DType, Positive, Section, Workers

# Arguments of a pipeline's call that have fields of their own, and those that are the job's.
_FIELDS = {
    "num_inference_steps": "images.steps",
    "guidance_scale": "images.guidance",
    "height": "images.size",
    "width": "images.size",
    "negative_prompt": "images.negative_prompt",
    "num_images_per_prompt": "images.per_caption",
}
_OF_THE_JOB = ("prompt", "generator", "latents", "output_type", "return_dict")


def _pixels(value: Any) -> Any:
    sides = value if isinstance(value, list | tuple) else [value, value]
    if len(sides) != 2 or not all(type(side) is int and side >= 8 for side in sides):
        raise ValueError(f"{value!r} is neither a number of pixels, 8 or more, nor [height, width]")
    if any(side % 8 for side in sides):  # pipelines halve them thrice
        raise ValueError(f"{value!r}: it must be a multiple of 8")
    return value


# Pixels: the side of a square, or [height, width].
Pixels = Annotated[int | Annotated[tuple[int, int], Strict(False)], BeforeValidator(_pixels)]


class AgreementRecipe(Section):
    """Images left out of tuning because the backbone does not see in them what their captions name."""

    # Share of all images that is dropped: those least similar to their captions (cosine similarity).
    lowest: Annotated[float, Field(ge=0, lt=1)] = 0.0
    # Every class that the caption names must be among so many best classes of the image, where those that
    # the caption names too do not count; None: no such rule.
    top: Positive | None = None

    @model_validator(mode="after")
    def _drops_something(self) -> Self:
        if not self.lowest and self.top is None:
            raise ValueError("neither lowest nor top is given; give one, or leave the section out")
        return self


class ImagesRecipe(Section):
    """How captions are painted by a text-to-image pipeline of diffusers."""

    model: str  # a folder, or a name on the hub
    revision: str | None = None  # of a model on the hub: a branch, a tag or a commit
    variant: str | None = None  # of its weights, such as "fp16"
    # How many captions are painted, the first ones; the others teach by their text alone, in methods that
    # learn from it. None: all. A language model's have equal numbers of all classes at every multiple of the
    # number of classes, without a prior; those of a file come by turns of the classes with `per_class`, else
    # at random.
    captions: Positive | None = None
    per_caption: Positive = 1
    steps: Positive
    guidance: float | None  # 0 for distilled models such as SDXL-Turbo; None: the pipeline's own default
    size: Pixels
    scheduler: str | None = None  # a scheduler class of diffusers; None keeps the pipeline's own
    negative_prompt: str = ""
    # Further arguments of the pipeline's call, such as max_sequence_length or true_cfg_scale.
    options: dict[str, Any] = Field(default_factory=dict)
    dtype: DType = "float32"
    compile: bool = False  # the denoiser, by torch.compile: minutes at first, faster for many images
    # How latents become pixels: a whole batch at once, image by image, or in overlapping tiles: less memory,
    # and with tiles, for images of 1024 pixels and more, slightly other pixels.
    decoding: Literal["whole", "slices", "tiles"] = "whole"
    # How often an image that a safety checker refused, or that is of one colour, is painted again, each time
    # with another seed.
    redraws: Annotated[int, Field(ge=0)] = 3
    batch: Positive = 8  # halved when memory is short
    format: Literal["webp", "png", "jpeg"] = "webp"
    quality: Annotated[int, Field(ge=1, le=100)] = 100  # 100 is lossless for webp
    # Images in a file, which is also the unit of work and of resuming: have several for each worker. A photo
    # of 512 pixels takes 0.32 MB as lossless webp, and 0.06 MB at quality 90 (of 1024 pixels: 0.83 and 0.14):
    # 500 lossless ones make a file of 160 MB, 2,500 at quality 90 one of 150 MB. A file has images of one
    # file of captions, so it holds at most captions.shard_rows x per_caption.
    shard_rows: Positive = 500
    agreement: AgreementRecipe | None = None
    workers: Workers = Workers()

    @property
    def height_and_width(self) -> tuple[int, int]:
        """Of an image, in pixels."""
        return self.size if isinstance(self.size, tuple) else (self.size, self.size)

    @field_validator("options")
    @classmethod
    def _has_no_field(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name in options:
            if name in _FIELDS:
                raise ValueError(f"{name} is set by {_FIELDS[name]}")
            if name in _OF_THE_JOB:
                raise ValueError(f"{name} is set by the job itself")
        return options
