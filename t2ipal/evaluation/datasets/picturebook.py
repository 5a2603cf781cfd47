"""Photo scenes of the picture world."""

from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

from t2ipal.evaluation.datasets.base import UnknownSplit, class_words
from t2ipal.picturebook.scenes import Scene, Split, scene
from t2ipal.vocabulary import Vocabulary

# "train" is for methods that learn from labelled photos; the picture world's CLIP, writer and painter have
# seen none of them.
SCENES: dict[Split, int] = {"train": 2000, "dev": 1000, "test": 1000}


@dataclass(frozen=True)
class Scenes:
    """The first scenes of a split. A scene is drawn each time it is asked for."""

    split: Split
    # The world's class -> the vocabulary's; the world draws more than a vocabulary may ask for.
    classes: Mapping[int, int]

    def __len__(self) -> int:
        return SCENES[self.split]

    def name(self, index: int) -> str:
        return f"photo-{self.split}-{index:05d}"

    def image(self, index: int) -> Image.Image:
        return self._scene(index).image

    def labels(self, index: int) -> tuple[int, ...]:
        return tuple(sorted(self.classes[i] for i in self._scene(index).labels if i in self.classes))

    def ignored(self, index: int) -> tuple[int, ...]:
        return ()

    def _scene(self, index: int) -> Scene:
        return scene("photo", self.split, index)


def open_scenes(split: str, vocabulary: Vocabulary) -> Scenes:
    """Open the scenes of a split; those of its classes that the vocabulary lacks are no labels."""
    from t2ipal import picturebook

    known: dict[str, Split] = {name: name for name in SCENES}
    if split not in known:
        raise UnknownSplit(f"the picture world has no split {split!r}", known)
    words = class_words(vocabulary)
    names = picturebook.vocabulary()
    return Scenes(known[split], {i: words[name] for i, name in enumerate(names) if name in words})
