"""What the recognizers of a recipe learn, and how: one class of settings per method.

The defaults are the papers' own, or what is chosen where a paper is silent; each method's module says which.
Only numbers and switches are here, so that reading a recipe imports no torch.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from t2ipal.section import Above0, Fraction, NotBelow0, Positive, Section, Several

# A sentence about a class; the class name takes the place of {}.
Template = Annotated[str, Field(pattern=r"^[^{}]*\{\}[^{}]*$")]


class Schedule(Section):
    """The optimizer of one phase of tuning: a constant warm-up, then a cosine, from epoch to epoch."""

    epochs: Positive = 20
    horizon: Positive | None = None  # epochs after which the cosine is at 0; None: `epochs`
    batch: Positive = 512  # rows of a step, of all workers together
    optimizer: Literal["sgd", "adamw"] = "sgd"
    momentum: Fraction = 0.9  # of sgd
    weight_decay: NotBelow0 = 5e-4
    warmup_epochs: Annotated[int, Field(ge=0)] = 1
    warmup_lr: Above0 = 1e-5  # where a method has no warm-up rate of its own


class ZeroShotSettings(Section):
    """CLIP as it comes."""

    template: Template = "a photo of a {}"
    # Sentences whose features are averaged by zero_shot_ensemble; null: the 80 of OpenAI for ImageNet.
    ensemble: Annotated[Several[Template], Field(min_length=1)] | None = None
    scale: Above0 = 4.0  # of cosine similarities, for the dense variant
    k: NotBelow0 = 40.0  # sharpness of the dense variant's heatmap
    mix: Fraction = 0.5  # share of the global score in the dense variant


class PromptSettings(Section):
    """What all methods with learned text prompts have in common (TaI-DPT, arXiv 2211.12739)."""

    context: Positive = 16  # learnable tokens before the class name
    scale: Above0 = 4.0  # of cosine similarities in logits
    margin: Above0 = 1.0  # of the ranking loss
    k_train: NotBelow0 = 50.0  # sharpness of the heatmap
    k_test: NotBelow0 = 40.0
    # Copies per class of the plain template among the captions, with every other template once.
    templates: Annotated[int, Field(ge=0)] = 0


class TaIDPTSettings(PromptSettings):
    """Double-grained prompts, learned from captions alone."""

    templates: Annotated[int, Field(ge=0)] = 9  # with the 80 of ImageNet 89 a class, as the authors have
    prompt_lr: Above0 = 1e-4
    mix: Fraction = 0.5  # share of the global score in the answer
    schedule: Schedule = Schedule()


class T2IPALSettings(PromptSettings):
    """Prompts, adapter, heatmap and prototypes on synthetic images. Each part has a switch."""

    prompts: bool = True  # off: the class names behind zero_shot's template, which nothing changes
    adapter: Literal["bottleneck", "cache"] | None = "bottleneck"  # cache: as Tip-Adapter
    heatmap: bool = True  # off: all patches weigh alike
    prototypes: bool = True
    image_branch: bool = True
    caption_branch: bool = True
    prompt_lr: Above0 = 1e-4
    head_lr: Above0 = 1e-3  # adapter and prototypes
    alpha: Fraction = 0.2  # share of the adapter
    cache_size: Positive = 16  # images per class that the adapter "cache" keeps
    cache_sharpness: Above0 = 5.5  # beta of Tip-Adapter
    mix: Fraction = 0.5  # share of the global score in the answer; the local ones get the rest
    class_ranking: NotBelow0 = 0.0  # weight of the class-wise ranking term
    schedule: Schedule = Schedule()

    @model_validator(mode="after")
    def _learns(self) -> Self:
        if not (self.image_branch or self.caption_branch):
            raise ValueError(
                "image_branch and caption_branch are both off: it learns from nothing; leave one on"
            )
        if not (self.image_branch or self.prompts):
            raise ValueError(
                "image_branch and prompts are both off, and captions teach prompts alone: nothing learns; "
                "leave one on"
            )
        if not (self.prompts or self.adapter or self.prototypes):
            raise ValueError("prompts, adapter and prototypes are all off: nothing learns; leave one on")
        if self.templates and self.image_branch:
            raise ValueError(
                f"templates is {self.templates}, but they are rows beside captions, and with image_branch "
                "on the rows are images; set templates to 0, or image_branch to false"
            )
        return self


class PretrainSettings(Section):
    """Stage 1 of PVP: pseudo visual prompts from sentences, through the frozen image encoder."""

    space: Literal["pixels", "features"] = "pixels"  # features: a free vector per class (TaAM-CPT)
    positions: bool = True  # in a ModifiedResNet's attention pool, for pseudo images
    lr: Above0 = 0.1
    warmup_lr: Above0 = 0.01  # the authors' own is 1.0, above the base rate
    noise: NotBelow0 = 0.04  # standard deviation, on the features of sentences
    k: NotBelow0 = 40.0
    local_weight: NotBelow0 = 0.1
    templates: Annotated[int, Field(ge=0)] = 400
    schedule: Schedule = Schedule(epochs=40, horizon=100)


class PVPSettings(PromptSettings):
    """Pseudo visual prompts and dual adapter, both stages."""

    pretraining: bool = True  # off: stage 2 begins with random pseudo visual prompts
    pretrain: PretrainSettings = PretrainSettings()
    adapter: bool = True
    visual_prompts: bool = True  # off: text prompts and text adapter alone
    text_prompts: bool = True  # off: pseudo visual prompts alone
    templates: Annotated[int, Field(ge=0)] = 200
    visual_k_train: NotBelow0 = 40.0
    visual_k_test: NotBelow0 = 50.0  # swapped against training with respect to the text's, as the authors do
    alpha: Fraction = 0.4  # share of the adapter (the authors' 0.6 is the share of what it adapts)
    reduction: Positive = 1  # of the width within the adapter
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.6
    mix: Fraction = 0.5  # share of the global scores in the answer; at 0.5 the authors' plain sum
    noise: NotBelow0 = 0.04
    local_weight: NotBelow0 = 0.01  # of the text prompts' local loss
    contrast: NotBelow0 = 1.0  # weight of the class-wise contrastive term
    contrast_scale: Literal["raw", "exp"] = (
        "raw"  # of CLIP's logit scale: the parameter itself, or its exponential
    )
    contrast_reduction: Literal["sum", "mean"] = "sum"
    global_token: bool = True  # the image's global feature as one more patch
    prompt_lr: Above0 = 5e-5  # text prompts and pseudo visual prompts
    prompt_warmup_lr: Above0 = 5e-5
    adapter_lr: Above0 = 1e-3
    adapter_warmup_lr: Above0 = 1e-3  # the authors' own is 5e-3, above the base rate
    schedule: Schedule = Schedule()

    @model_validator(mode="after")
    def _compares(self) -> Self:
        if not (self.text_prompts or self.visual_prompts):
            raise ValueError(
                "text_prompts and visual_prompts are both off: images are compared with nothing; leave one on"
            )
        return self


class T2IPALPVPSettings(Section):
    """T2I-PAL and PVP together; the settings of both are their own."""

    doubt: Annotated[float, Field(ge=0, lt=1)] = 0.1  # share of each class's images whose label is not used
    share: Fraction = 0.2  # of the pseudo visual prompts' score in the answer
    judge: Literal["pvp", "t2i_pal"] = "pvp"  # t2i_pal, to see what PVP is worth: nothing of PVP is used


class DualCoOpSettings(Section):
    """Positive and negative prompts, learned from labelled photos (DualCoOp, arXiv 2206.09541)."""

    context: Positive = 16
    class_specific: bool = True  # off: all classes share the two contexts; the authors' advice for few labels
    scale: Above0 = 50.0  # of cosine similarities in logits
    k: NotBelow0 = 20.0  # sharpness of the heatmap, about e^3
    gamma_negative: NotBelow0 = 2.0  # of the asymmetric loss
    gamma_positive: NotBelow0 = 1.0
    clip: Annotated[float, Field(ge=0, lt=1)] = 0.05
    loss_weight: Above0 = 1.0  # with sgd more may be good where few labels are known
    prompt_lr: Above0 = 0.002
    schedule: Schedule = Schedule(epochs=50, batch=64)


class FusionSettings(Section):
    """How a label-free recognizer and one of few labels answer together (TaI-DPT, arXiv 2211.12739)."""

    few_shot: Fraction = 0.6  # share of the one that learned from labels
    partial: Fraction = 0.9
    # Whose least and highest score become 0 and 1: those of the images that its thresholds are fitted on, or
    # of all that are scored together, as the paper has it, which no single image can be.
    range: Literal["fitted", "scored"] = "fitted"


class MethodsSettings(Section):
    """The settings of every method, by its name."""

    zero_shot: ZeroShotSettings = ZeroShotSettings()
    tai_dpt: TaIDPTSettings = TaIDPTSettings()
    pvp: PVPSettings = PVPSettings()
    t2i_pal: T2IPALSettings = T2IPALSettings()
    t2i_pal_pvp: T2IPALPVPSettings = T2IPALPVPSettings()
    dual_coop: DualCoOpSettings = DualCoOpSettings()
    fusion: FusionSettings = FusionSettings()
