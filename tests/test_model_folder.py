import pytest
import torch
from safetensors.torch import save_file

from t2ipal.errors import UserError
from t2ipal.model_folder import check_model_folder


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "part").mkdir()
    save_file({"weight": torch.ones(8)}, tmp_path / "part" / "model.safetensors")
    return tmp_path


def check(folder):
    check_model_folder(str(folder), "captions.model", ["config.json"])


def test_a_whole_folder(folder):
    check(folder)


def test_a_hub_name_is_not_looked_up():
    check("some-organisation/some-model")


def test_no_folder(tmp_path):
    with pytest.raises(UserError, match=r"captions\.model: there is no model folder .*/nowhere"):
        check(tmp_path / "nowhere")


def test_a_file_in_place_of_a_folder(folder):
    with pytest.raises(UserError, match="there is no model folder"):
        check(folder / "config.json")


def test_a_required_file_is_missing(folder):
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"has no config\.json"):
        check(folder)


def test_damaged_json(folder):
    (folder / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json' is damaged"):
        check(folder)


def test_truncated_weights(folder):
    path = folder / "part" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"model\.safetensors' is damaged"):
        check(folder)
