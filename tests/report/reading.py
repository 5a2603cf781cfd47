"""A page read back by a parser of HTML."""

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Read(HTMLParser):
    """What is on a page."""

    numbers: dict = field(default_factory=dict)  # what each is of -> its value, and the text for people
    tags: list = field(default_factory=list)  # all of them with their attributes
    text: str = ""
    _of: str | None = None

    def __post_init__(self):
        super().__init__()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "data":
            self._of = dict(attrs)["data-of"]
            self.numbers.setdefault(self._of, []).append([float(dict(attrs)["value"]), ""])

    def handle_endtag(self, tag):
        if tag == "data":
            self._of = None

    def handle_data(self, data):
        self.text += data
        if self._of:
            self.numbers[self._of][-1][1] += data

    def number(self, of):
        """The value of a number and its text, which are the same wherever it stands."""
        (found,) = {tuple(each) for each in self.numbers[of]}
        return found

    def all(self, tag):
        """The attributes of all elements of this kind."""
        return [attributes for name, attributes in self.tags if name == tag]

    def words(self):
        """Its text, with single blanks."""
        return " ".join(self.text.split())


def read(page):
    found = Read()
    found.feed(page.decode())
    return found


def assert_self_contained_and_accessible(page):
    """Nothing is fetched, and everything that is seen has words for those who do not see it."""
    found = read(page)
    for tag, attributes in found.tags:
        for name in ("src", "href", "srcset", "action", "xlink:href"):
            assert attributes.get(name, "#").startswith(("data:", "#")), (tag, name)
    assert not found.all("script")
    assert b"url(" not in page
    assert b"@import" not in page
    assert all(len(image["alt"]) > 8 for image in found.all("img"))
    assert all(image["role"] == "img" and len(image["aria-label"]) > 8 for image in found.all("svg"))
    assert found.all("html")[0]["lang"] == "en"
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"][1:] for link in found.all("a")} <= set(ids)
    named = [attributes["aria-labelledby"] for _, attributes in found.tags if "aria-labelledby" in attributes]
    assert set(named) <= set(ids)
