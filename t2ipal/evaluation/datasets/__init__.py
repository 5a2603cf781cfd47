"""Labelled images: the picture world's scenes, and the layouts in which data sets come.

A layout is recognised by what lies in its folder, so a recipe says only where that is. Every layout has a
file of its own here.
"""

from pathlib import Path
from typing import Literal

from t2ipal.errors import UserError
from t2ipal.evaluation.datasets.base import Dataset, UnknownSplit, class_words
from t2ipal.evaluation.datasets.coco import open_coco
from t2ipal.evaluation.datasets.folder import open_folder
from t2ipal.evaluation.datasets.nus_wide import open_nus_wide
from t2ipal.evaluation.datasets.picturebook import open_scenes
from t2ipal.evaluation.datasets.voc import open_voc
from t2ipal.vocabulary import Vocabulary

__all__ = ["Dataset", "open_dataset"]

# A file of the user's own comes first: it may lie in the folder of an official data set.
_LAYOUTS = (open_folder, open_voc, open_coco, open_nus_wide)


Key = Literal["evaluate.split", "evaluate.train_split"]

# What a user can do without the photos that a split is for.
_INSTEAD: dict[Key, str] = {
    "evaluate.split": "",
    "evaluate.train_split": "; or leave out with --methods what learns from labelled photos (supervised, "
    "dual_coop)",
}


def open_dataset(dataset: str, split: str, vocabulary: Vocabulary, key: Key = "evaluate.split") -> Dataset:
    """Open "picturebook" (photo scenes of the split) or a folder in one of these layouts:

    * `<split>.csv`, `<split>.jsonl`, or `<split>.json` in COCO's format, with paths relative to the folder;
    * the devkit of VOC2007: JPEGImages, Annotations, ImageSets/Main/<split>.txt;
    * COCO: annotations/instances_<split>.json, images in <split>;
    * NUS-WIDE: ImageList, Groundtruth/TrainTestLabels, ConceptsList, images in Flickr or images; its splits
      are "train" and "test", and with "_filtered" behind it only the images that hold a concept.

    Every class that its labels name must be a class or a synonym of the vocabulary. All images must be there;
    whether they are whole shows when they are decoded. Raises UserError for what is wrong with any of that;
    `key` is the recipe's for the split.
    """
    try:
        found = _open(dataset, split, vocabulary)
    except UnknownSplit as error:
        known = ", ".join(error.known) or "none is there, so restore its files"
        raise UserError(str(error), f"set {key} to one of: {known}{_INSTEAD[key]}") from None
    if found is None:
        what = "test set" if key == "evaluate.split" else "training set"
        raise UserError(
            f"there is no {what} at {dataset!r}: neither {split}.csv, {split}.jsonl or {split}.json nor the "
            "folders of VOC2007, COCO or NUS-WIDE",
            f'correct {key}, or set evaluate.dataset to "picturebook", to the folder of one of these data '
            "sets, or to a folder with such a file, each line an image path and its labels"
            f"{_INSTEAD[key]}",
        )
    return found


def _open(dataset: str, split: str, vocabulary: Vocabulary) -> Dataset | None:
    if dataset == "picturebook":
        return open_scenes(split, vocabulary)
    root, words = Path(dataset).expanduser(), class_words(vocabulary)
    opened = (open_layout(root, split, words) for open_layout in _LAYOUTS)
    return next((found for found in opened if found is not None), None)
