"""The classes of the picture world: what they are called and which colours they come in.

The table is plain data, so that a vocabulary can be made from it without importing any model code.
"""

from dataclasses import dataclass

RGB = tuple[int, int, int]

COLOURS: dict[str, RGB] = {
    "red": (214, 48, 49),
    "orange": (240, 140, 30),
    "yellow": (250, 212, 50),
    "green": (46, 160, 67),
    "blue": (48, 98, 210),
    "purple": (142, 68, 190),
    "pink": (240, 130, 175),
    "brown": (140, 86, 48),
    "white": (244, 244, 244),
    "grey": (134, 140, 148),
    "black": (48, 48, 54),
}

BACKGROUNDS: dict[str, RGB] = {
    "sky": (176, 216, 244),
    "sand": (238, 222, 186),
    "grass": (184, 222, 164),
    "paper": (250, 248, 240),
    "night": (58, 66, 104),
    "rose": (246, 208, 214),
}

OUTLINE: RGB = (34, 32, 40)


@dataclass(frozen=True)
class PictureClass:
    """One thing that can be drawn: its name, its other names, and the colours it may have."""

    name: str
    synonyms: tuple[str, ...]
    colours: tuple[str, ...]


CLASSES: tuple[PictureClass, ...] = (
    PictureClass("fish", ("goldfish", "trout"), ("orange", "blue", "red", "purple")),
    PictureClass("house", ("cottage", "cabin"), ("red", "yellow", "white", "blue")),
    PictureClass("tree", ("oak", "elm"), ("green", "orange")),
    PictureClass("car", ("automobile", "taxi"), ("red", "blue", "yellow", "green")),
    PictureClass("boat", ("ship", "sailboat"), ("red", "brown", "blue", "white")),
    PictureClass("sun", ("sunshine",), ("yellow", "orange")),
    PictureClass("moon", ("crescent",), ("yellow", "white", "grey")),
    PictureClass("star", ("starlet",), ("yellow", "red", "blue", "pink")),
    PictureClass("flower", ("daisy", "blossom"), ("red", "pink", "purple", "white")),
    PictureClass("umbrella", ("parasol",), ("red", "blue", "purple", "green")),
    PictureClass("cup", ("mug", "teacup"), ("white", "blue", "red", "green")),
    PictureClass("mushroom", ("toadstool",), ("red", "brown", "orange")),
    PictureClass("balloon", ("airship",), ("red", "blue", "pink", "green")),
    PictureClass("rocket", ("spaceship", "spacecraft"), ("white", "grey", "red", "blue")),
    PictureClass("clock", ("timepiece",), ("white", "brown", "yellow", "blue")),
    PictureClass("cat", ("kitten", "kitty"), ("grey", "orange", "black", "brown")),
)

NAMES: tuple[str, ...] = tuple(each.name for each in CLASSES)


def vocabulary() -> dict[str, list[str]]:
    """Class names of the picture world, each with its synonyms."""
    return {each.name: list(each.synonyms) for each in CLASSES}
