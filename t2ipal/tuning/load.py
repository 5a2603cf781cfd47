"""From the tables of a run to what a method is tuned on."""

from collections.abc import Callable, Sequence

import torch

from t2ipal.clip import Backbone
from t2ipal.errors import UserError
from t2ipal.methods.base import Images
from t2ipal.recipe import Recipe
from t2ipal.store import Store
from t2ipal.tuning.data import CaptionSet, ImageSet, TuningSet
from t2ipal.tuning.feature_chunks import FeatureChunks
from t2ipal.tuning.few_images import few_images
from t2ipal.tuning.limited import Known
from t2ipal.tuning.node_tables import NodeTables, node_tables
from t2ipal.tuning.ragged import Ragged, RaggedCaptions
from t2ipal.tuning.source import LABELLED, SYNTHETIC


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

    Without images where no phase learns from them: they are most of the memory. All processes of a machine
    share one copy, which the first of them makes (`t2ipal.tuning.node_tables`).
    """
    source = FeatureChunks(recipe, run, table, backbone, with_templates, with_images)
    tables = node_tables(source.key(), recipe.tune.features, source.size(), source.chunks)
    if table == LABELLED:
        photos = _labelled(_image_set(tables), lambda: source.kept(LABELLED).names, known)
        return TuningSet(photos, None, tables)
    labels = tables["captions.labels"]
    captions = CaptionSet(_ragged(tables), labels, len(labels) - len(source.sentences))
    if not with_images:
        return TuningSet(None, captions, tables)
    images = few_images(_image_set(tables), lambda: source.kept(SYNTHETIC).names, recipe)
    return TuningSet(images, captions, tables)


def _ragged(tables: NodeTables) -> RaggedCaptions:
    tokens = Ragged(tables["captions.tokens"], tables["captions.lengths"])
    return RaggedCaptions(tables["captions.whole"], tokens, tokens.mask)


def _image_set(tables: NodeTables) -> ImageSet:
    features = Images(tables["images.whole"], tables["images.patches"])
    return ImageSet(features, tables["images.labels"], tables.get("images.caption"))


def _labelled(images: ImageSet, ids: Callable[[], Sequence[str]], known: Known | None) -> ImageSet:
    """The photos of which a label is known."""
    if known is None:
        return images
    told = torch.from_numpy(known(images.labels.numpy(), ids()))
    some = told.any(dim=1)
    if not some.any():
        raise UserError(
            f"of none of the {len(images.labels)} labelled photos a label is known",
            "ask for more labels, or give more photos in evaluate.train_split",
        )
    # What is not known is not there for anybody who forgets to ask.
    labels = images.labels & told
    if some.all():  # as with a share of all labels: the features stay where they are
        return ImageSet(images.features, labels, known=told)
    return ImageSet(Images(*(table[some] for table in images.features)), labels[some], known=told[some])
