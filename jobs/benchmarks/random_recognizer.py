"""A recognizer of full size with random weights: T2I-PAL on CLIP's RN50, with the 80 classes of COCO.

    uv run python -m jobs.benchmarks.random_recognizer FOLDER

It answers nonsense as fast as a tuned one. The folder takes 410 MB: `backbone` and `bundle`.
"""

import hashlib
import json
import sys
from pathlib import Path

import open_clip
import torch
from safetensors.torch import save, save_file

from t2ipal.bundle import CARD, PARAMETERS
from t2ipal.card import Card
from t2ipal.clip import Backbone, load_backbone
from t2ipal.method_settings import MethodsSettings
from t2ipal.methods import build_method
from t2ipal.recipe import BackboneRecipe
from t2ipal.vocabulary import Vocabulary

MODEL = "RN50"
METHOD = "t2i_pal"
VOCABULARY = Path(__file__).parents[1] / "vocabularies" / "coco.yaml"
SEED = 0


def save_random_recognizer(folder: Path, model: str = MODEL) -> str:
    """Write backbone and bundle; return the bundle's folder."""
    backbone = load_backbone(BackboneRecipe(model=str(_save_backbone(folder / "backbone", model))))
    bundle = folder / "bundle"
    bundle.mkdir(parents=True, exist_ok=True)
    vocabulary = Vocabulary.load(str(VOCABULARY))
    method = build_method(METHOD, backbone, vocabulary.names, MethodsSettings(), SEED)
    parameters = save(method.export())
    (bundle / PARAMETERS).write_bytes(parameters)
    (bundle / CARD).write_text(_card(backbone, vocabulary, parameters).model_dump_json())
    return str(bundle)


def _save_backbone(folder: Path, model: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    drawn = open_clip.create_model(model, load_weights=False)
    config = {"model_cfg": open_clip.get_model_config(model), "preprocess_cfg": drawn.visual.preprocess_cfg}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file(drawn.state_dict(), folder / "open_clip_model.safetensors")
    return folder


def _card(backbone: Backbone, vocabulary: Vocabulary, parameters: bytes) -> Card:
    names = vocabulary.names
    return Card(
        name="random",
        classes=vocabulary.mapping(),
        method=METHOD,
        settings=MethodsSettings(),
        backbone=backbone.recipe,
        backbone_digest=backbone.digest,
        parameters_sha256=hashlib.sha256(parameters).hexdigest(),
        preprocessing=backbone.preprocess.config,
        thresholds=dict.fromkeys(names, 0.0),
        calibration={"slope": [1.0] * len(names), "intercept": [0.0] * len(names)},
        quality={},
        provenance={},
    )


if __name__ == "__main__":
    print(save_random_recognizer(Path(sys.argv[1]).absolute()))
