"""From the tables of a run to what a method is tuned on."""

from collections.abc import Sequence

import pyarrow as pa
import torch
from torch import Tensor

from t2ipal.clip import Backbone
from t2ipal.clip.feature_tables import read_captions, read_images, read_labels
from t2ipal.errors import UserError
from t2ipal.methods.base import Captions, Images
from t2ipal.methods.zero_shot import ensemble
from t2ipal.recipe import Recipe
from t2ipal.store import Store
from t2ipal.tuning.data import CaptionSet, ImageSet, TuningSet
from t2ipal.tuning.limited import Known
from t2ipal.tuning.source import CAPTIONS, LABELLED, is_held_out, source_shards
from t2ipal.vocabulary import Vocabulary


def load_tuning_set(
    recipe: Recipe,
    run: Store,
    table: str,
    backbone: Backbone,
    with_templates: bool,
    known: Known | None = None,
) -> TuningSet:
    """Read what is not held out of a table of images, in the order of its shards; of synthetic ones the
    captions too, with template sentences for each class if asked for. Of photos only the labels that `known`
    says, and the photos of which there are any; without it all.
    """
    rows = _read(recipe, run, table)
    keys = image_keys(rows["image_id"].to_pylist(), table)
    kept = [i for i, key in enumerate(keys) if not is_held_out(key, recipe)]
    if not kept:
        raise UserError(
            "there is no image to tune on",
            "check why the stage images kept none of its images, or lower tune.holdout",
        )
    images = _images(rows.take(kept), recipe)
    if table == LABELLED:
        return TuningSet(_labelled(*images, [keys[i] for i in kept], known), None)
    captions = _read(recipe, run, CAPTIONS)
    place, learned = _captions(captions, recipe, backbone, with_templates)
    return TuningSet(ImageSet(*images, torch.tensor([place[keys[i]] for i in kept])), learned)


def image_keys(names: Sequence[str], table: str) -> list[str]:
    """By what each image is held out or not: a photo by itself, a synthetic image by its caption.

    The id of a synthetic image is its caption's, a dash and a number.
    """
    return list(names) if table == LABELLED else [name.rpartition("-")[0] for name in names]


def template_sentences(recipe: Recipe, classes: Sequence[str]) -> list[str]:
    """The sentences of all classes in the plain template, then in each other one."""
    templates = (recipe.methods.zero_shot.template, *ensemble(recipe.methods.zero_shot))
    return [template.replace("{}", name) for template in templates for name in classes]


def _read(recipe: Recipe, run: Store, table: str) -> pa.Table:
    shards = run.shards(table)
    return pa.concat_tables([shards.read(name) for name in source_shards(recipe, run, table)])


def _images(rows: pa.Table, recipe: Recipe) -> tuple[Images, Tensor]:
    return Images(*read_images(rows)), read_labels(rows, len(Vocabulary.load(recipe.vocabulary)))


def _labelled(features: Images, labels: Tensor, ids: Sequence[str], known: Known | None) -> ImageSet:
    if known is None:
        return ImageSet(features, labels)
    told = torch.from_numpy(known(labels.numpy(), ids))
    some = told.any(dim=1)
    if not some.any():
        raise UserError(
            f"of none of the {len(labels)} labelled photos a label is known",
            "ask for more labels, or give more photos in evaluate.train_split",
        )
    # What is not known is not there for anybody who forgets to ask.
    return ImageSet(Images(*(table[some] for table in features)), (labels & told)[some], known=told[some])


def _captions(
    rows: pa.Table, recipe: Recipe, backbone: Backbone, with_templates: bool
) -> tuple[dict[str, int], CaptionSet]:
    """Captions that are not held out, and where each is."""
    names: list[str] = rows["caption_id"].to_pylist()
    kept = [i for i, name in enumerate(names) if not is_held_out(name, recipe)]
    rows = rows.take(kept)
    features = Captions(*read_captions(rows))
    classes = Vocabulary.load(recipe.vocabulary).names
    labels = read_labels(rows, len(classes))
    if with_templates:
        sentences = template_sentences(recipe, classes)
        features = _joined(features, Captions(*backbone.sentences(sentences)))
        eye = torch.eye(len(classes), dtype=torch.bool)
        labels = torch.cat([labels, eye.repeat(len(sentences) // len(classes), 1)])
    return {names[i]: place for place, i in enumerate(kept)}, CaptionSet(features, labels, len(kept))


def _joined(captions: Captions, more: Captions) -> Captions:
    """Rows of both, fp16, padded to one length."""
    length = max(captions.tokens.shape[1], more.tokens.shape[1])
    both = [_padded(Captions(*(table.cpu() for table in each)), length) for each in (captions, more)]
    return Captions(*(torch.cat(tables) for tables in zip(*both, strict=True)))


def _padded(captions: Captions, length: int) -> Captions:
    missing = length - captions.tokens.shape[1]
    pad = torch.nn.functional.pad
    return Captions(
        captions.whole.half(),
        pad(captions.tokens.half(), (0, 0, 0, missing)),
        pad(captions.mask, (0, missing)),
    )
