"""Labelled images: the picture world's scenes, and the layouts in which data sets come.

A layout is recognised by what lies in its folder, so a recipe says only where that is. Every layout has a
file of its own here.
"""

from pathlib import Path

from t2ipal.errors import UserError
from t2ipal.evaluation.datasets.base import Dataset, class_words
from t2ipal.evaluation.datasets.coco import open_coco
from t2ipal.evaluation.datasets.folder import open_folder
from t2ipal.evaluation.datasets.nus_wide import open_nus_wide
from t2ipal.evaluation.datasets.picturebook import open_scenes
from t2ipal.evaluation.datasets.voc import open_voc
from t2ipal.vocabulary import Vocabulary

__all__ = ["Dataset", "open_dataset"]

# A file of the user's own comes first: it may lie in the folder of an official data set.
_LAYOUTS = (open_folder, open_voc, open_coco, open_nus_wide)


def open_dataset(dataset: str, split: str, vocabulary: Vocabulary) -> Dataset:
    """Open "picturebook" (photo scenes of the split) or a folder in one of these layouts:

    * `<split>.csv`, `<split>.jsonl`, or `<split>.json` in COCO's format, with paths relative to the folder;
    * the devkit of VOC2007: JPEGImages, Annotations, ImageSets/Main/<split>.txt;
    * COCO: annotations/instances_<split>.json, images in <split>;
    * NUS-WIDE: ImageList, Groundtruth/TrainTestLabels, ConceptsList, images in Flickr or images; its splits
      are "train" and "test", and with "_filtered" behind it only the images that hold a concept.

    Every class that its labels name must be a class or a synonym of the vocabulary. All images must be there;
    whether they are whole shows when they are decoded. Raises UserError for what is wrong with any of that.
    """
    if dataset == "picturebook":
        return open_scenes(split, vocabulary)
    root = Path(dataset).expanduser()
    for open_layout in _LAYOUTS:
        if (found := open_layout(root, split, class_words(vocabulary))) is not None:
            return found
    raise UserError(
        f"there is no test set at {dataset!r}: neither {split}.csv, {split}.jsonl or {split}.json nor the "
        "folders of VOC2007, COCO or NUS-WIDE",
        'set evaluate.dataset to "picturebook", to the folder of one of these data sets, or to a folder with '
        "such a file, each line an image path and its labels",
    )
