"""Writers of tiny data sets in the official layouts, and of tiny files of captions."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image


def _pixels() -> Image.Image:
    return Image.new("RGB", (6, 4), (10, 200, 30))


@dataclass(frozen=True)
class Photo:
    """A picture and its classes, in the data set's own spelling.

    `difficult` and `crowd` are classes with such an object; a class may be in them and in `labels`.
    """

    labels: Sequence[str] = ()
    image: Image.Image = field(default_factory=_pixels)
    difficult: Sequence[str] = ()
    crowd: Sequence[str] = ()


def write_voc(root: Path, split: str, photos: Sequence[Photo], start: int = 1) -> list[str]:
    """Add a split to a devkit; return the names of its images, numbered from `start`."""
    names = [f"{number:06d}" for number in range(start, start + len(photos))]
    for name, photo in zip(names, photos, strict=True):
        _save(photo, root / "JPEGImages" / f"{name}.jpg")
        objects = [_object(label, 0) for label in photo.labels] + [
            _object(each, 1) for each in photo.difficult
        ]
        text = f"<annotation><filename>{name}.jpg</filename>{''.join(objects)}</annotation>"
        write_text(root / "Annotations" / f"{name}.xml", text)
    write_text(root / "ImageSets" / "Main" / f"{split}.txt", lines(names))
    return [f"{name}.jpg" for name in names]


def _object(label: str, difficult: int) -> str:
    part = "<part><name>head</name></part>" if label == "person" else ""
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>3</xmax><ymax>3</ymax></bndbox>"
    return f"<object><name>{label}</name><difficult>{difficult}</difficult>{box}{part}</object>"


def write_coco(root: Path, split: str, photos: Sequence[Photo], categories: Sequence[str]) -> list[str]:
    """Add a split to COCO's folder; return the names of its images."""
    names = [f"COCO_{split}_{7 * number:012d}.jpg" for number in range(len(photos))]
    for name, photo in zip(names, photos, strict=True):
        _save(photo, root / split / name)
    write_instances(root / "annotations" / f"instances_{split}.json", names, photos, categories)
    return names


def write_instances(
    path: Path, names: Sequence[str], photos: Sequence[Photo], categories: Sequence[str]
) -> None:
    """Write annotations in COCO's format, with gaps in the ids of categories as COCO has them."""
    ids = {name: 3 * number + 1 for number, name in enumerate(categories)}
    found = [
        (number, label, crowd)
        for number, photo in enumerate(photos)
        for labels, crowd in ((photo.labels, 0), (photo.crowd, 1))
        for label in labels
    ]
    content = {
        "info": {"description": "tiny"},
        "images": [{"id": 7 * i, "file_name": name, "width": 6, "height": 4} for i, name in enumerate(names)],
        "annotations": [
            {
                "id": 100 + i,
                "image_id": 7 * number,
                "category_id": ids[label],
                "iscrowd": crowd,
                "bbox": [1.0, 1.0, 2.0, 2.0],
                "segmentation": [[1.0, 1.0, 3.0, 1.0, 3.0, 3.0]],
            }
            for i, (number, label, crowd) in enumerate(found)
        ],
        "categories": [{"id": ids[name], "name": name, "supercategory": "thing"} for name in categories],
    }
    write_text(path, json.dumps(content))


def write_nus_wide(root: Path, part: str, photos: Sequence[Photo], concepts: Sequence[str]) -> list[str]:
    """Add the part "Train" or "Test" to NUS-WIDE's folder; return the names of its images."""
    names = [f"actor/{number:04d}_2124494{number:03d}.jpg" for number in range(len(photos))]
    names = [name.replace("actor", part.lower()) for name in names]
    for name, photo in zip(names, photos, strict=True):
        _save(photo, root / "Flickr" / name)
    write_text(root / "ImageList" / f"{part}Imagelist.txt", lines(n.replace("/", "\\") for n in names))
    write_text(root / "ConceptsList" / "Concepts81.txt", lines(concepts))
    for concept in concepts:
        column = [str(int(concept in photo.labels)) for photo in photos]
        file = root / "Groundtruth" / "TrainTestLabels" / f"Labels_{concept}_{part}.txt"
        write_text(file, lines(column))
    return names


def write_captions(path: Path, captions: Iterable[tuple[int, str]]) -> None:
    """Write captions as COCO does, each of an image id; their own ids are 5, 10, ..."""
    annotations = [
        {"image_id": image, "id": 5 * number, "caption": text}
        for number, (image, text) in enumerate(captions, 1)
    ]
    write_text(path, json.dumps({"info": {}, "images": [], "licenses": [], "annotations": annotations}))


def write_narratives(path: Path, narratives: Iterable[tuple[str, str]]) -> None:
    """Write localized narratives, each of an image id."""
    rows = [
        {
            "dataset_id": "tiny",
            "image_id": image,
            "annotator_id": 0,
            "caption": text,
            "timed_caption": [{"utterance": text, "start_time": 0.0, "end_time": 1.5}],
            "traces": [[{"x": 0.2, "y": 0.3, "t": 0.0}]],
            "voice_recording": "tiny.ogg",
        }
        for image, text in narratives
    ]
    write_text(path, lines(json.dumps(row) for row in rows))


def lines(texts: Iterable[str]) -> str:
    """Each text as a line."""
    return "".join(f"{text}\n" for text in texts)


def write_text(path: Path, text: str) -> None:
    """Write a file and the folders that lead to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _save(photo: Photo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    photo.image.save(path)
