import io

import pytest
from PIL import Image

from jobs.benchmarks import serving
from jobs.benchmarks.random_recognizer import save_random_recognizer
from t2ipal import Recognizer

SMALL = "ViT-S-32-alt"


def test_pictures_are_photos_of_their_size():
    pictures = [Image.open(io.BytesIO(data)) for data in serving.pictures()]
    assert {picture.size for picture in pictures} == {(640, 480)}
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


@pytest.mark.slow
def test_a_recognizer_of_random_weights(tmp_path):
    bundle = save_random_recognizer(tmp_path, SMALL)
    (found,) = Recognizer.load(bundle).predict([Image.new("RGB", (64, 64))])
    assert len(found.scores) == 80


@pytest.mark.slow
@pytest.mark.whole_job
@pytest.mark.timeout(900)
def test_the_endpoint_beside_the_model_and_two_servers():
    report = serving.benchmark(SMALL, seconds=2.0)
    figures = report.figures
    assert figures["ratio_to_bare"] > 0
    for name in ("t2ipal", "fastapi", "litserve"):
        assert figures[f"{name}_images_per_s"] > 0
        assert set(figures[f"{name}_latency_ms"]) == {"25 %", "50 %", "75 %", "95 %"}
    assert set(figures["overload_statuses"]) <= {"200", "429"}
    assert figures["overload_429_without_retry_after"] == 0
    assert "clients that never wait" in report.table
