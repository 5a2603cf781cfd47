"""The typed description of one run: YAML in, frozen classes out, unknown keys rejected.

A field is required where no value suits every run. Paths within a recipe (`./models/x`, `../x`, `~/x`) are
relative to the recipe's own file; `run` is a URI or a path relative to where the job is started.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from t2ipal.captions_recipe import AnnotatedCaptionsRecipe, CaptionsRecipe
from t2ipal.errors import UserError
from t2ipal.fingerprint import differences, fingerprints
from t2ipal.images_recipe import ImagesRecipe
from t2ipal.method_settings import MethodsSettings
from t2ipal.recipe_paths import Written, absolute, as_written, resolve_paths
from t2ipal.section import Bounds, DType, Labels, Positive, Section, Several, Workers
from t2ipal.serve_recipe import ServeRecipe
from t2ipal.validation import describe
from t2ipal.vocabulary import Vocabulary
from t2ipal.yaml_file import read_yaml


class BackboneRecipe(Section):
    """The frozen CLIP model, as open_clip names it."""

    model: str
    pretrained: str | None = None  # open_clip's tag of the weights; None for a local folder
    image_size: Positive | None = None  # pixels; None keeps the model's own
    # How an image becomes square: "shortest" cuts its middle out, "squash" keeps all; None: the model's own.
    resize: Literal["shortest", "longest", "squash"] | None = None
    pool_positions: bool = False  # in a ModifiedResNet's attention pool; TaI-DPT leaves them out
    dtype: DType = "float32"  # of the image tower


class FeaturesRecipe(Section):
    """The pool that computes frozen features, of the test set too."""

    batch: Positive = 64
    # Of each synthetic image: 1 is the image itself, each other one a crop of at least `least_area` of it.
    views: Positive = 1
    least_area: Annotated[float, Field(gt=0, le=1)] = 0.5
    workers: Workers = Workers()


# Where the features lie that all workers of a machine learn from: in its memory, or in files on its disk.
Place = Literal["auto", "memory", "disk"]


class Ranks(Bounds):
    """Workers that tune together: a number of them, or {min, max}.

    With bounds there are as many as the cluster has room for: fewer when a node is lost, more when one comes.
    Either way tuning goes on from the last finished epoch, with the same result. 0 of them: the driver's
    process tunes. They run on nodes with the `labels`, and so do the trials of a comparison or a sweep.
    """

    min: Annotated[int, Field(ge=0)] = 1
    max: Annotated[int, Field(ge=0)] = 1
    labels: Labels = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _fixed(cls, data: Any) -> Any:
        if isinstance(data, bool | float | str | list):
            raise ValueError(f"{data!r} is neither a number of workers nor {{min, max}}")
        return {"min": data, "max": data} if isinstance(data, int) else data

    @model_validator(mode="after")
    def _none_or_some(self) -> Self:
        if self.max and not self.min:
            raise ValueError("min is 0; let it be 1 or more, or give 0 alone, for the driver's own process")
        return self


class TuneRecipe(Section):
    """What a job tunes on the frozen features and deploys; its settings are in `methods`."""

    method: Literal["tai_dpt", "pvp", "t2i_pal", "t2i_pal_pvp"] = "t2i_pal"
    # Share of the captions whose images are kept from tuning: thresholds and calibration are chosen on them.
    holdout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    # About as many images of each class, all that it has where they are fewer; None: all images of the run.
    images_per_class: Positive | None = None
    seed: int | None = None  # of what is drawn in tuning; None: the recipe's own
    # What becomes of a class that nothing to learn from shows or names: "warn" tunes without it, which ranks
    # it below all others.
    classes_without_samples: Literal["warn", "refuse"] = "warn"
    workers: Ranks = Ranks()
    gpu: bool = False
    # Of the arithmetic; tuned parameters, optimizer and losses are float32 in any. float16 needs GPUs.
    precision: DType = "float32"
    # Parts in which each worker takes its share of a batch, one after the other: less memory, the same step.
    # Not with class_ranking, which compares all rows of a batch.
    accumulate: Positive = 1
    # auto: in memory where they take at most a quarter of what is free in /dev/shm, else in files in the
    # folder for temporary files (TMPDIR), read when needed: the same batches.
    features: Place = "auto"

    @model_validator(mode="after")
    def _has_the_precision(self) -> Self:
        if self.precision == "float16" and not self.gpu:
            raise ValueError(
                "precision is float16, which needs GPUs; set gpu to true, or precision to bfloat16, which "
                "CPUs have too"
            )
        return self


class EvaluateRecipe(Section):
    """What the recognizers are measured on."""

    # "picturebook", or a folder: of VOC2007, COCO, NUS-WIDE, or of images with a file of labels
    # (t2ipal/evaluation/datasets); null: nothing is measured.
    dataset: str | None = "picturebook"
    split: str = "test"
    train_split: str = "train"  # labelled photos for the upper bound and for settings with few labels
    # What a job measures beside the method that it tunes: methods that are not tuned.
    baselines: Several[
        Literal[
            "zero_shot",
            "zero_shot_standardised",
            "zero_shot_ensemble",
            "zero_shot_ensemble_standardised",
            "zero_shot_dense",
            "zero_shot_dense_standardised",
        ]
    ] = ("zero_shot", "zero_shot_standardised")


class RayRecipe(Section):
    """The cluster that the job starts for itself; without effect where the job runs on an existing one."""

    num_cpus: Positive | None = None  # None: as many as the machine has
    object_store_mib: Annotated[int, Field(ge=80)] | None = None  # None: Ray's own choice


class Recipe(Section):
    """One run, from class names to an endpoint."""

    name: str
    seed: int = 0
    run: str  # where it goes unless --run says otherwise
    vocabulary: str | dict[str, Several[str]]  # "picturebook", or class names and their synonyms
    # One of the two:
    captions: CaptionsRecipe | None = None
    annotated_captions: AnnotatedCaptionsRecipe | None = None
    images: ImagesRecipe
    backbone: BackboneRecipe
    features: FeaturesRecipe = FeaturesRecipe()
    methods: MethodsSettings = MethodsSettings()
    tune: TuneRecipe = TuneRecipe()
    evaluate: EvaluateRecipe = EvaluateRecipe()
    serve: ServeRecipe = ServeRecipe()
    ray: RayRecipe = RayRecipe()
    _written: dict[str, Written] = PrivateAttr(default_factory=dict)

    @property
    def caption_source(self) -> CaptionsRecipe | AnnotatedCaptionsRecipe:
        """What captions come from."""
        source = self.captions or self.annotated_captions
        if source is None:
            raise ValueError("the recipe has no captions")
        return source

    @model_validator(mode="after")
    def _has_one_source_of_captions(self) -> Self:
        if (self.captions is None) == (self.annotated_captions is None):
            given = "neither is" if self.captions is None else "both are"
            raise ValueError(
                f"of captions (a language model writes them) and annotated_captions (a file of them) {given} "
                "given; give one of the two"
            )
        return self

    @model_validator(mode="after")
    def _paints_what_is_written(self) -> Self:
        if self.captions is not None:
            most, key = self.captions.count, "captions.count"
        elif self.annotated_captions is not None and self.annotated_captions.max_captions is not None:
            most, key = self.annotated_captions.max_captions, "annotated_captions.max_captions"
        else:
            return self
        if self.images.captions is not None and self.images.captions > most:
            raise ValueError(
                f"images.captions is {self.images.captions}, and there are at most {most} ({key})"
            )
        return self

    @model_validator(mode="after")
    def _leaves_something_out(self) -> Self:
        agreement = self.images.agreement
        if agreement is not None and agreement.top is not None:
            classes = len(Vocabulary.load(self.vocabulary))
            if agreement.top >= classes:
                raise ValueError(
                    f"images.agreement.top is {agreement.top}, and there are {classes} classes: every class "
                    "is always among so many; give a smaller number, or leave it out"
                )
        return self

    def relative_paths(self) -> dict[str, Written]:
        """Return the paths, by dotted key, that the recipe's file has relative to itself or to a home."""
        return dict(self._written)

    def with_evaluate(self, **changes: Any) -> Self:
        """Return the recipe with other settings of what is measured."""
        section = self.evaluate.model_copy(update=changes)
        return self.model_copy(update={"evaluate": section})

    def settings(self) -> dict[str, Any]:
        """Return the recipe as plain data, with paths as they were written: the same in any folder."""
        return as_written(self.model_dump(mode="json"), self._written)

    def fingerprints(self) -> dict[str, str]:
        """Return the fingerprint of every stage's output."""
        return fingerprints(self.settings())

    def fingerprint(self, stage: str) -> str:
        """Return a hash of the settings, upstream ones included, that determine the stage's output."""
        return self.fingerprints()[stage]

    def differences(self, other: dict[str, Any], stages: Collection[str] | None = None) -> list[str]:
        """Return the dotted keys that change outputs, or those of `stages`, and differ from another recipe's
        settings.
        """
        return differences(self.settings(), other, stages)


def load_recipe(path: str | Path, classes: Mapping[str, Sequence[str]] | None = None) -> Recipe:
    """Read a recipe file; UserError says what is wrong in it, all at once.

    `classes`, names with their synonyms, take the place of the file's vocabulary.
    """
    data = read_yaml(path, what="recipe")
    if not isinstance(data, dict):
        raise UserError(
            f"the recipe {str(path)!r} is not a mapping of keys to values", "see jobs/recipes/offline.yaml"
        )
    if classes is not None:
        data["vocabulary"] = {name: list(words) for name, words in classes.items()}
    folder = Path(path).resolve().parent
    written = resolve_paths(data, folder)
    spec = data.get("vocabulary", "picturebook")  # one that is missing is told with the other mistakes
    if spec != "picturebook":
        # The classes themselves become part of the recipe, so that workers need no file and a change is
        # noticed.
        spec = absolute(spec, folder) if isinstance(spec, str) else spec
        data["vocabulary"] = Vocabulary.load(spec).mapping()
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        problems = "\n  ".join(describe(error, Recipe))
        raise UserError(
            f"the recipe {str(path)!r} is not valid:\n  {problems}", "correct it and start again"
        ) from error
    recipe._written = written
    return recipe
