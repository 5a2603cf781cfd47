"""From the tables of a run to what a method is tuned on."""

from collections.abc import Iterator, Sequence

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
from t2ipal.tuning.agreement import left_out
from t2ipal.tuning.data import CaptionSet, ImageSet, TuningSet
from t2ipal.tuning.few_images import few_images
from t2ipal.tuning.limited import Known
from t2ipal.tuning.source import CAPTIONS, LABELLED, SYNTHETIC, image_keys, is_held_out, source_shards
from t2ipal.vocabulary import Vocabulary

BATCH = 256  # template sentences that are encoded at once

_REMEDIES = {
    SYNTHETIC: "check why the stage images kept none of its images, or lower tune.holdout",
    CAPTIONS: "ask for more captions, or lower tune.holdout",
    LABELLED: "give labelled photos in evaluate.train_split, or lower tune.holdout",
}


def load_tuning_set(
    recipe: Recipe,
    run: Store,
    table: str,
    backbone: Backbone,
    with_templates: bool,
    with_images: bool = True,
    known: Known | None = None,
) -> TuningSet:
    """Read what is not held out of a table of images, in the order of its shards; of synthetic ones the
    captions too, with template sentences for each class if asked for. Of photos only the labels that `known`
    says, and the photos of which there are any; without it all.

    Without images where no phase learns from them: they are most of the memory.
    """
    if table == LABELLED:
        keys, rows = _read_kept(recipe, run, table)
        return TuningSet(_labelled(*_images(rows, recipe), keys, known), None)
    place, captions = _captions(recipe, run, backbone, with_templates)
    if not with_images:
        return TuningSet(None, captions)
    keys, rows = _read_kept(recipe, run, table)
    images = ImageSet(*_images(rows, recipe), torch.tensor([place[key] for key in keys]))
    return TuningSet(few_images(images, keys, recipe), captions)


def template_sentences(recipe: Recipe, classes: Sequence[str]) -> list[str]:
    """The sentences of all classes in the plain template, then in each other one."""
    templates = (recipe.methods.zero_shot.template, *ensemble(recipe.methods.zero_shot))
    return [template.replace("{}", name) for template in templates for name in classes]


def _read_kept(recipe: Recipe, run: Store, table: str) -> tuple[list[str], pa.Table]:
    """Rows that are neither held out nor left out, and the keys by which they might have been held out.

    Chosen shard by shard: Arrow would join the rows of all to choose among them, and cannot count the values
    of more than some 40,000 images in one array.
    """
    shards, kept, tables = run.shards(table), [], []
    without = left_out(recipe, run, table)
    for name in source_shards(recipe, run, table):
        rows = shards.read(name)
        names: list[str] = rows[rows.schema.names[0]].to_pylist()  # a table's key comes first
        keys = names if table == CAPTIONS else image_keys(names, table)
        here = [i for i, key in enumerate(keys) if names[i] not in without and not is_held_out(key, recipe)]
        kept += [keys[i] for i in here]
        tables.append(rows.take(here))
    if not kept:
        raise UserError(f"of the table {table} there is nothing to tune on", _REMEDIES[table])
    return kept, pa.concat_tables(tables)


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
    recipe: Recipe, run: Store, backbone: Backbone, with_templates: bool
) -> tuple[dict[str, int], CaptionSet]:
    """Captions that are not held out, and where each is."""
    names, rows = _read_kept(recipe, run, CAPTIONS)
    features = Captions(*read_captions(rows))
    classes = Vocabulary.load(recipe.vocabulary).names
    labels = read_labels(rows, len(classes))
    if with_templates:
        sentences = template_sentences(recipe, classes)
        features = _joined([features, *_encoded(sentences, backbone)])
        eye = torch.eye(len(classes), dtype=torch.bool)
        labels = torch.cat([labels, eye.repeat(len(sentences) // len(classes), 1)])
    return {name: place for place, name in enumerate(names)}, CaptionSet(features, labels, len(names))


def _encoded(sentences: Sequence[str], backbone: Backbone) -> Iterator[Captions]:
    """Features of sentences, fp16, some at a time and no longer than they are: a sentence takes as much of a
    text tower as its longest neighbour.
    """
    for at in range(0, len(sentences), BATCH):
        found = backbone.sentences(sentences[at : at + BATCH])
        length = int(found.mask.any(dim=0).sum())
        yield Captions(
            found.whole.cpu().half(), found.tokens[:, :length].cpu().half(), found.mask[:, :length].cpu()
        )


def _joined(parts: Sequence[Captions]) -> Captions:
    """Rows of all parts, padded to one length."""
    length = max(part.tokens.shape[1] for part in parts)
    return Captions(
        *(torch.cat(tables) for tables in zip(*(_padded(each, length) for each in parts), strict=True))
    )


def _padded(captions: Captions, length: int) -> Captions:
    missing, pad = length - captions.tokens.shape[1], torch.nn.functional.pad
    return Captions(
        captions.whole, pad(captions.tokens, (0, 0, 0, missing)), pad(captions.mask, (0, missing))
    )
