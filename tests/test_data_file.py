import pytest
from msgspec import Struct

from t2ipal.data_file import read_json, read_json_lines, read_lines
from t2ipal.errors import UserError


class Named(Struct):
    name: str


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data"


def test_lines_keep_their_ends_and_lose_the_mark_of_an_editor(path):
    path.write_bytes(b"\xef\xbb\xbfa\r\n\nk\xc3\xa4se")
    assert list(read_lines(path)) == [(1, "a\r\n"), (2, "\n"), (3, "käse")]


def test_lines_before_one_of_another_encoding_are_read(path):
    path.write_bytes(b"a\nk\xe4se\n")
    lines = read_lines(path)
    assert next(lines) == (1, "a\n")
    with pytest.raises(UserError, match=r"data, line 2 is not UTF-8"):
        next(lines)


@pytest.mark.parametrize("read", [lambda p: list(read_lines(p)), lambda p: read_json(p, Named, "x")])
@pytest.mark.parametrize("place", ["gone", "."])
def test_a_file_that_is_none(tmp_path, read, place):
    with pytest.raises(UserError, match="cannot read"):
        read(tmp_path / place)


def test_only_the_fields_asked_for_are_read(path):
    path.write_bytes(b'{"other": [1, {"x": "\xff"}], "name": "n"}')
    assert read_json(path, Named, "x") == Named("n")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "data is empty"),
        (b'{"name": "n', "truncated"),
        (b'{"name": 1}', r"Expected `str`, got `int` - at `\$\.name`"),
        (b'{"name": "n"}\n{"name": "m"}', "trailing characters"),
        (b'{\n"name": "k\xe4se"}', r"line 2 \(byte 12\) is not UTF-8"),
        (b"\x00", "malformed"),
    ],
)
def test_what_is_wrong_with_json_is_said(path, data, problem):
    path.write_bytes(data)
    with pytest.raises(UserError, match=problem):
        read_json(path, Named, "the remedy")


def test_a_line_of_json_that_is_wrong_is_named(path):
    path.write_text('{"name": "n"}\n \n{"name": 1}\n')
    rows = read_json_lines(path, Named, "the remedy")
    assert next(rows) == (1, Named("n"))
    with pytest.raises(UserError, match=r"(?s)data, line 3 .*got `int`.*the remedy"):
        next(rows)
