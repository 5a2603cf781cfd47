import torch

from t2ipal.picturebook import judge


def test_it_learns_on_another_device_than_its_scenes_are_on(tmp_path, monkeypatch):
    """The device "meta" has shapes and no values, and like a GPU refuses to mix with tensors of the CPU."""
    monkeypatch.setattr(judge, "PHOTOS", 64)
    monkeypatch.setattr(judge, "WEB", 64)
    monkeypatch.setattr(judge, "device", lambda: torch.device("meta"))
    loss = judge._loss(judge.network().to("meta"), tmp_path)
    assert loss(torch.Generator().manual_seed(0), 0.0).device.type == "meta"
