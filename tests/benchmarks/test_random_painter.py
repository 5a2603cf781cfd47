from pathlib import Path

from jobs.benchmarks import random_painter
from t2ipal.images.painter import Painter
from t2ipal.recipe import load_recipe
from tests.tiny_pipelines import stable_diffusion

FULL_SIZE = Path(random_painter.__file__).parent / "full_size.yaml"


def test_what_is_saved_paints_prompts_of_77_tokens(tmp_path, monkeypatch):
    tiny = stable_diffusion()
    monkeypatch.setattr(random_painter, "_text_encoder", lambda config: tiny.text_encoder)
    monkeypatch.setattr(random_painter, "_unet", lambda: tiny.unet)
    monkeypatch.setattr(random_painter, "_vae", lambda: tiny.vae)
    parts = (tiny.text_encoder, tiny.unet, tiny.vae)
    counted = sum(p.numel() for part in parts for p in part.parameters())
    assert random_painter.save_random_painter(tmp_path) == counted
    seen = []
    asked = load_recipe(FULL_SIZE).images.model_copy(
        update={"model": str(tmp_path), "dtype": "float32", "size": 32, "steps": 1}
    )
    painter = Painter(asked)
    encode = painter._pipeline.text_encoder.forward
    monkeypatch.setattr(
        painter._pipeline.text_encoder,
        "forward",
        lambda ids, **given: seen.append(ids.shape[1]) or encode(ids, **given),
    )
    (painting,) = painter.paint(["a picture of a fish"], [0])
    assert painting.image.size == (32, 32)
    assert set(seen) == {77}
