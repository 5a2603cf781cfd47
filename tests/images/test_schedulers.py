import diffusers
import pytest

from t2ipal.errors import UserError
from t2ipal.images.schedulers import scheduler_class


def test_a_scheduler_by_its_name():
    assert scheduler_class("DDIMScheduler") is diffusers.DDIMScheduler


@pytest.mark.parametrize("name", ["Nothing", "UNet2DConditionModel", "schedulers", "DDIM"])
def test_not_a_scheduler(name):
    with pytest.raises(UserError, match=f"images.scheduler is '{name}', which is no scheduler of diffusers"):
        scheduler_class(name)
