import json

import pytest

from t2ipal.captions.sentences import Sentence, format_of, read_image_ids, read_sentences
from t2ipal.errors import UserError
from tests.layouts import write_captions, write_narratives


def test_captions_of_coco(tmp_path):
    path = tmp_path / "captions_train2017.json"
    write_captions(path, [(9, "A cat  on a\n mat. "), (8, " "), (9, "A dog.")])
    assert format_of(path) == "coco_captions"
    assert list(read_sentences(path)) == [Sentence(5, "A cat on a mat.", "9"), Sentence(15, "A dog.", "9")]


def test_narratives_are_cut(tmp_path):
    path = tmp_path / "narratives.jsonl"
    words = [f"w{i}" for i in range(80)]
    write_narratives(path, [("0a1b", "A cat."), ("000000000139", " ".join(words))])
    assert format_of(path) == "localized_narratives"
    expected = [Sentence(1, "A cat.", "0a1b"), Sentence(2, " ".join(words[:77]), "139")]
    assert list(read_sentences(path)) == expected


def test_lines_of_text(tmp_path):
    path = tmp_path / "captions.txt"
    path.write_text("A cat.\n\n  A dog \r\n")
    assert format_of(path) == "text"
    assert list(read_sentences(path)) == [Sentence(1, "A cat."), Sentence(3, "A dog")]


def caption(**changes):
    return json.dumps({"annotations": [{"id": 1, "image_id": 2, "caption": "c"} | changes]}).encode()


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("a.json", caption()[:-9], r"a\.json is not readable: Input data was truncated"),
        ("a.json", b"", r"a\.json is empty"),
        ("a.json", caption().replace(b'"c"', b'"\xff"'), r"a\.json, line 1 \(byte \d+\) is not UTF-8"),
        ("a.json", caption(caption=None), r"got `null` - at `\$\.annotations\[0\]\.caption`"),
        ("a.json", caption(id=-1), r"at `\$\.annotations\[0\]\.id`"),
        ("a.json", b'{"annotations": [{"id": 1, "image_id": 2, "bbox": []}]}', "required field `caption`"),
        ("a.json", caption().replace(b"}]", b'}, {"id": 1, "image_id": 3, "caption": "d"}]'), "id 1 twice"),
        ("a.jsonl", b'{"image_id": "a", "caption": "c"}\n{"image_id": "a"', r"a\.jsonl, line 2 .*truncated"),
        ("a.jsonl", b'{"image_id": "a", "caption": "\xe4"}\n', r"a\.jsonl, line 1 is not UTF-8"),
        ("a.jsonl", b'{"caption": "c"}\n', r"a\.jsonl, line 1 .*required field `image_id`"),
        ("a.txt", b"A cat.\nA d\xf6g.\n", r"a\.txt, line 2 is not UTF-8"),
        ("a", b'{"annotations": []}', r"(?s)a looks like JSON .*name it \.json"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, name, data, problem):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=problem):
        list(read_sentences(tmp_path / name))


def test_image_ids(tmp_path):
    path = tmp_path / "ids.txt"
    path.write_text("000000000139\n\n 42 \n0a1b\n")
    assert read_image_ids(path, numbers=False) == {"139", "42", "0a1b"}
    with pytest.raises(UserError, match=r"ids\.txt, line 4 is '0a1b'"):
        read_image_ids(path, numbers=True)
    path.write_text("1 2\n")
    with pytest.raises(UserError, match=r"ids\.txt, line 1 is '1 2'"):
        read_image_ids(path, numbers=True)
