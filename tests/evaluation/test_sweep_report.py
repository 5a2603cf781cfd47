import io

import pytest
from PIL import Image

from t2ipal.evaluation.sweep_report import csv_text, plot, table


def point(mean, seeds=(0,), std=None, **settings):
    settings = {key.replace("__", "."): value for key, value in settings.items()}
    figure = {"mean": mean, "std": std, "seeds": [mean + seed for seed in seeds]}
    return {"settings": settings, "seeds": list(seeds), "mAP": figure, "CF1": 50.0, "OF1": 60.0, "ECE": 0.012}


def sweep(*points):
    best = max(points, key=lambda each: each["mAP"]["mean"])["settings"]
    return {"dataset": "picturebook", "split": "dev", "images": 12, "best": best, "points": list(points)}


def test_the_table_has_a_line_for_each_point_and_marks_the_best():
    found = sweep(
        point(80.0, (0, 1), 0.5, methods__t2i_pal__alpha=0.2),
        point(81.25, (0, 1), 0.25, methods__t2i_pal__alpha=0.8),
    )
    head, first, second = table(found).splitlines()
    assert head.split() == ["t2i_pal.alpha", "mAP", "CF1", "OF1", "ECE"]
    assert first.split() == ["0.2", "80.00", "±", "0.50", "50.00", "60.00", "0.0120"]
    assert second.split() == ["0.8", "81.25", "±", "0.25", "50.00", "60.00", "0.0120", "best"]


def test_a_sweep_of_seeds_alone_has_one_line():
    found = sweep(point(80.0, (0, 1), 0.5))
    assert len(table(found).splitlines()) == 2
    assert csv_text(found).splitlines() == ["seed,mAP", "0,80.0", "1,81.0"]


def test_the_csv_has_a_line_for_each_seed():
    found = sweep(
        point(80.0, (0, 1), 0.5, methods__t2i_pal__adapter=None),
        point(70.0, methods__t2i_pal__adapter="cache"),
    )
    assert csv_text(found).splitlines() == [
        "methods.t2i_pal.adapter,seed,mAP",
        "null,0,80.0",
        "null,1,81.0",
        "cache,0,70.0",
    ]


@pytest.mark.parametrize(
    "points",
    [
        [point(80.0)],
        [point(80.0, methods__a=0.5), point(70.0, methods__a=0.2)],
        [point(80.0, methods__a=None), point(70.0, methods__a="cache"), point(75.0, methods__a=True)],
        [
            point(m, methods__a=a, methods__b=b)
            for m, a, b in ((1.0, 1, 2), (2.0, 1, 3), (3.0, 2, 2), (4.0, 2, 3))
        ],
    ],
)
def test_the_plot_is_a_picture_of_the_figures(points):
    found = sweep(*points)
    picture = Image.open(io.BytesIO(plot(found)))
    assert picture.format == "PNG"
    assert picture.size == (960, 600)
    higher = [
        each | {"mAP": each["mAP"] | {"mean": 2 * each["mAP"]["mean"] + i}} for i, each in enumerate(points)
    ]
    assert plot(sweep(*higher)) != plot(found)


def test_lines_follow_the_first_key_that_changes():
    points = [point(float(b), methods__a=1, methods__b=b) for b in (3, 1, 2)]
    from t2ipal.evaluation.sweep_report import _abscissa, _lines

    found = sweep(*points)
    assert _abscissa(found) == "methods.b"
    assert {
        name: [each["mAP"]["mean"] for each in line] for name, line in _lines(found, "methods.b").items()
    } == {"a 1": [1.0, 2.0, 3.0]}
