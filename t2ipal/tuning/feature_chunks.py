"""What tuning reads of a run, chunk by chunk: features of captions, of template sentences and of images."""

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa
import torch
from torch import Tensor

from t2ipal.clip import Backbone
from t2ipal.clip.feature_tables import read_captions, read_images, read_labels
from t2ipal.errors import UserError
from t2ipal.methods.base import Captions
from t2ipal.methods.zero_shot import ensemble
from t2ipal.recipe import Recipe
from t2ipal.store import Store
from t2ipal.tuning.agreement import left_out
from t2ipal.tuning.node_tables import Chunk
from t2ipal.tuning.source import (
    CAPTIONS,
    LABELLED,
    SYNTHETIC,
    image_keys,
    is_held_out,
    short_digest,
    source_digest,
    source_shards,
)
from t2ipal.vocabulary import Vocabulary

BATCH = 256  # template sentences that are encoded at once
TOKENS = 16  # of a template sentence, about

_KEYS = {SYNTHETIC: "image_id", CAPTIONS: "caption_id", LABELLED: "image_id"}
_REMEDIES = {
    SYNTHETIC: "check why the stage images kept none of its images, or lower tune.holdout",
    CAPTIONS: "ask for more captions, or lower tune.holdout",
    LABELLED: "give labelled photos in evaluate.train_split, or lower tune.holdout",
}


def template_sentences(recipe: Recipe, classes: Sequence[str]) -> list[str]:
    """The sentences of all classes in the plain template, then in each other one."""
    templates = (recipe.methods.zero_shot.template, *ensemble(recipe.methods.zero_shot))
    return [template.replace("{}", name) for template in templates for name in classes]


class Kept(NamedTuple):
    """The rows of a table that are neither held out nor left out."""

    names: list[str]  # the ids of all
    places: list[tuple[str, list[int]]]  # shard, and the rows in it


class FeatureChunks:
    """The features of a table of images and, of synthetic ones, of the captions, with the template sentences
    of all classes behind them if asked for. In the order of their shards.

    captions.whole [M, D], captions.lengths [M], captions.labels [M, C], captions.tokens [all lengths, D];
    images.whole [N, D], images.patches [N, P, D], images.labels [N, C]; images.caption [N], but for photos.
    Features are fp16, labels bool.
    """

    def __init__(
        self, recipe: Recipe, run: Store, table: str, backbone: Backbone, templates: bool, images: bool
    ) -> None:
        self._recipe, self._run, self._table, self._backbone = recipe, run, table, backbone
        self._images = images or table == LABELLED
        self._classes = Vocabulary.load(recipe.vocabulary).names
        self.sentences = template_sentences(recipe, self._classes) if templates else []

    def key(self) -> str:
        """What the content of all chunks follows from."""
        digest = source_digest(self._recipe, self._run, self._table)
        if digest is None:
            raise ValueError("features are missing")
        settings = {
            "holdout": [self._recipe.tune.holdout, self._recipe.seed],
            "table": [self._table, self._images],
            "classes": self._classes,
            "sentences": self.sentences,
        }
        return short_digest(digest, json.dumps(settings, sort_keys=True))

    def size(self) -> int:
        """About how many bytes all chunks have: those of the files."""
        tables = [self._table] * self._images + [CAPTIONS] * (self._table != LABELLED)
        done = {table: self._run.shards(table).done() for table in tables}
        files = sum(
            done[table][name].bytes
            for table in tables
            for name in source_shards(self._recipe, self._run, table)
            if name in done[table]
        )
        return files + len(self.sentences) * TOKENS * self._backbone.embedding * 2

    def chunks(self) -> Iterator[Chunk]:
        """Yield captions, template sentences, images."""
        place: dict[str, int] = {}
        if self._table != LABELLED:
            captions = self.kept(CAPTIONS)
            place = {name: i for i, name in enumerate(captions.names)}
            for rows in self._rows(CAPTIONS, captions):
                labels = read_labels(rows, len(self._classes))
                yield _caption_chunk(Captions(*read_captions(rows)), labels)
            yield from self._templates()
        if not self._images:
            return
        images, at = self.kept(self._table), 0
        for rows in self._rows(self._table, images):
            whole, patches = read_images(rows)
            keys = image_keys(images.names[at : at + len(whole)], self._table)
            at += len(whole)
            labels = read_labels(rows, len(self._classes))
            chunk = {"images.whole": whole, "images.patches": patches, "images.labels": labels}
            if place:
                chunk["images.caption"] = torch.tensor([place[key] for key in keys])
            yield {name: table.numpy() for name, table in chunk.items()}

    def kept(self, table: str) -> Kept:
        """Which rows are tuned on; UserError where there are none."""
        shards, kept = self._run.shards(table), Kept([], [])
        without = left_out(self._recipe, self._run, table)
        for shard in source_shards(self._recipe, self._run, table):
            names: list[str] = shards.read(shard, [_KEYS[table]])[_KEYS[table]].to_pylist()
            keys = names if table == CAPTIONS else image_keys(names, table)
            here = [
                i
                for i, key in enumerate(keys)
                if names[i] not in without and not is_held_out(key, self._recipe)
            ]
            kept.names.extend(names[i] for i in here)
            if here:
                kept.places.append((shard, here))
        if not kept.names:
            raise UserError(f"of the table {table} there is nothing to tune on", _REMEDIES[table])
        return kept

    def _rows(self, table: str, kept: Kept) -> Iterator[pa.Table]:
        """Yield the rows of one shard after another: a large run has more than fit into memory."""
        for shard, here in kept.places:
            yield self._run.shards(table).read(shard).take(here)

    def _templates(self) -> Iterator[Chunk]:
        """Yield features of template sentences, fp16, some at a time."""
        classes = torch.arange(len(self.sentences)) % len(self._classes)
        for at in range(0, len(self.sentences), BATCH):
            found = self._backbone.sentences(self.sentences[at : at + BATCH])
            labels = torch.nn.functional.one_hot(classes[at : at + BATCH], len(self._classes)).bool()
            yield _caption_chunk(
                Captions(found.whole.cpu().half(), found.tokens.cpu().half(), found.mask.cpu()), labels
            )


def _caption_chunk(captions: Captions, labels: Tensor) -> Chunk:
    return {
        "captions.whole": captions.whole.numpy(),
        "captions.tokens": captions.tokens[captions.mask].numpy(),
        "captions.lengths": captions.mask.sum(dim=1).numpy(),
        "captions.labels": labels.numpy(),
    }
