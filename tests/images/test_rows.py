from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import numpy as np
import pytest
import torch

from t2ipal.errors import UserError
from t2ipal.images.codec import decode, sha256
from t2ipal.images.painter import MOST_FAILED, Painter
from t2ipal.images.rows import Wanted, image_seed
from t2ipal.images.rows import paint_rows as paint_with
from t2ipal.images_recipe import ImagesRecipe
from t2ipal.seeds import derive_seed
from tests.images.test_painter import BAD
from tests.tiny_pipelines import save_pipeline

SEED = 7
COUNT = 12


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    model = save_pipeline("with-safety-checker", tmp_path_factory.mktemp("checked"))
    return ImagesRecipe(model=model, steps=1, guidance=1.0, size=32, batch=5, redraws=2)


def paint_rows(painter, recipe, seed, wanted):
    with ThreadPoolExecutor(2) as pool:
        return paint_with(painter, recipe, seed, wanted, pool).finished()


def wanted(texts=None):
    texts = texts or [f"a picture of thing {i}" for i in range(COUNT)]
    return [
        Wanted(f"c{i}-0", {"caption_id": f"c{i}", "text": text, "labels": [i % 3]})
        for i, text in enumerate(texts)
    ]


def strict(painter, share):
    """Let the pipeline's own safety checker refuse a share of the images of these captions, seen alone."""
    checker = painter._pipeline.safety_checker
    with torch.no_grad():
        seen = [
            checker.visual_projection(checker.vision_model(pixels)[1])
            for pixels in _checked(painter, [image_seed(SEED, each.image_id, 0) for each in wanted()])
        ]
        concept = torch.nn.functional.normalize(checker.concept_embeds[:1], dim=-1)
        near = torch.cat([torch.nn.functional.normalize(each, dim=-1) @ concept.T for each in seen]).flatten()
        # All concepts are alike, and are in an image that is nearer to them than the weights say.
        checker.concept_embeds_weights.fill_(float(near.quantile(1 - share)))


def _checked(painter, seeds):
    paintings = painter.paint([each.caption["text"] for each in wanted()], seeds)
    extract = painter._pipeline.feature_extractor
    return [extract(painting.image, return_tensors="pt").pixel_values for painting in paintings]


def test_rows_are_in_order_and_describe_their_images(recipe):
    painter = Painter(recipe)
    rows, counts = paint_rows(painter, recipe, SEED, wanted())
    assert [row["image_id"] for row in rows] == [f"c{i}-0" for i in range(COUNT)]
    assert [row["seed"] for row in rows] == [derive_seed(SEED, row["image_id"]) for row in rows]
    assert [row["labels"] for row in rows] == [[i % 3] for i in range(COUNT)]
    expected = painter.paint([each.caption["text"] for each in wanted()], [row["seed"] for row in rows])
    for row, painting in zip(rows, expected, strict=True):
        assert np.array_equal(decode(row["image"]), painting.image)
        assert (row["width"], row["height"], row["kept"], row["reason"]) == (32, 32, True, "")
        assert row["sha256"] == sha256(row["image"])
    assert asdict(counts) == {"redrawn": 0, "refused": 0, "failed": 0}


def test_what_the_safety_checker_refuses_is_painted_again_with_the_next_seed(recipe):
    painter = Painter(recipe)
    first, _ = paint_rows(painter, recipe, SEED, wanted())
    strict(painter, share=0.5)
    rows, counts = paint_rows(painter, recipe, SEED, wanted())
    seeds = {row["image_id"]: [image_seed(SEED, row["image_id"], k) for k in range(3)] for row in rows}
    attempts = [seeds[row["image_id"]].index(row["seed"]) for row in rows]
    again = [i for i, attempt in enumerate(attempts) if attempt]
    assert 0 < len(again) < COUNT
    assert counts.redrawn == sum(attempts)
    assert counts.refused == sum(not row["kept"] for row in rows)
    assert any(rows[i]["kept"] for i in again)
    for i, row in enumerate(rows):
        assert row["reason"] == ("" if row["kept"] else "refused by the pipeline's safety checker")
        assert row["kept"] or attempts[i] == recipe.redraws
        if i not in again:
            assert row["sha256"] == first[i]["sha256"]  # its neighbours' fate is not its own


def test_what_stays_blank_is_marked_and_its_redraws_bounded(recipe):
    painter = Painter(recipe)
    painter._pipeline.safety_checker.concept_embeds_weights.data.fill_(-2.0)
    rows, counts = paint_rows(painter, recipe, SEED, wanted())
    assert asdict(counts) == {"redrawn": 2 * COUNT, "refused": COUNT, "failed": 0}
    assert {row["kept"] for row in rows} == {False}
    assert {decode(row["image"]).getcolors()[0] for row in rows} == {(32 * 32, (0, 0, 0))}
    never = recipe.model_copy(update={"redraws": 0})
    assert paint_rows(painter, never, SEED, wanted())[1].redrawn == 0


def test_a_caption_that_cannot_be_painted_is_marked(recipe):
    texts = ["a fish", BAD, "a house"]
    rows, counts = paint_rows(Painter(recipe), recipe, SEED, wanted(texts))
    assert [row["kept"] for row in rows] == [True, False, True]
    assert "Error: " in rows[1]["reason"]
    assert (rows[1]["image"], rows[1]["width"], rows[1]["height"]) == (b"", 0, 0)
    assert asdict(counts) == {"redrawn": 0, "refused": 0, "failed": 1}


def test_a_caption_that_cannot_be_painted_is_marked_though_it_is_alone_in_its_shard(recipe):
    rows, counts = paint_rows(Painter(recipe), recipe, SEED, wanted([BAD]))
    assert [(row["image_id"], row["kept"], row["image"]) for row in rows] == [("c0-0", False, b"")]
    assert "Error: " in rows[0]["reason"]
    assert asdict(counts) == {"redrawn": 0, "refused": 0, "failed": 1}


def test_a_painter_that_fails_on_one_small_shard_after_another_ends_the_run(recipe):
    painter = Painter(recipe)
    for _ in range(MOST_FAILED - 1):
        assert paint_rows(painter, recipe, SEED, wanted([BAD]))[1].failed == 1
    with pytest.raises(UserError, match=r"failed on 16 captions in a row; of '\\ud800' it says: \w+Error: "):
        paint_rows(painter, recipe, SEED, wanted([BAD]))


def test_nothing_to_paint(recipe):
    assert paint_rows(Painter(recipe), recipe, SEED, [])[0] == []


def test_seeds_of_attempts():
    assert image_seed(SEED, "c0-0", 0) == derive_seed(SEED, "c0-0")
    assert len({image_seed(SEED, "c0-0", attempt) for attempt in range(4)}) == 4
