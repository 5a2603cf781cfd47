import json

import numpy as np
import pytest

from t2ipal.evaluation.bootstrap import ResampledMap
from t2ipal.evaluation.calibration import Calibration
from t2ipal.evaluation.report import differences, measure, summarise, table

CLASSES = ["cat", "dog", "owl"]
LABELS = np.array([[True, False, False], [False, True, False]])
GOOD = np.array([[0.9, 0.1, 0.0], [0.1, 0.9, 0.0]], dtype=np.float32)
PERFECT = {"CP": 100.0, "CR": 100.0, "CF1": 100.0, "OP": 100.0, "OR": 100.0, "OF1": 100.0}


def test_figures_of_one_seed():
    figures = measure(GOOD, {"global": GOOD, "local": -GOOD}, LABELS, CLASSES, np.full(3, 0.5))
    assert figures == {
        "mAP": 100.0,
        "per_class": {"cat": 100.0, "dog": 100.0, "owl": None},
        "parts": {"global": 100.0, "local": 50.0},
        **PERFECT,
        # Of three classes the top three are all.
        "top3": pytest.approx(
            {"CP": 50.0, "CR": 100.0, "CF1": 200 / 3, "OP": 100 / 3, "OR": 100.0, "OF1": 50.0}
        ),
    }


def test_figures_that_need_more_than_scores():
    flat = Calibration(np.zeros(3), np.zeros(3))  # says 0.5 of everything
    first_wrong = np.array([[0.1, 0.1, 0.0], [0.9, 0.9, 0.0]], dtype=np.float32)
    ignored = np.array([[False, False, False], [True, False, False]])
    figures = measure(first_wrong, {}, LABELS, CLASSES, np.full(3, 0.5), flat, ignored)
    assert figures["ECE"] == pytest.approx(0.5 - 2 / 6)
    assert figures["mAP"] == 75.0
    assert figures["mAP_without_difficult"] == 100.0
    assert "mAP_without_difficult" not in measure(
        first_wrong, {}, LABELS, CLASSES, np.full(3, 0.5), flat, ignored & False
    )


def seed_of(value, error):
    by_class = {"cat": value, "owl": None}
    return {"mAP": value, "per_class": by_class, "parts": {"global": value / 2}, "CF1": value, "ECE": error}


def test_means_over_seeds():
    figures = summarise([seed_of(70.0, 0.1), seed_of(71.0, 0.2), seed_of(74.00049, 0.1000049)])
    assert figures == {
        "mAP": {"mean": 71.667, "std": 2.082, "seeds": [70.0, 71.0, 74.0]},
        "per_class": {"cat": 71.667, "owl": None},
        "parts": {"global": 35.833},
        "CF1": 71.667,
        "ECE": 0.13333,
    }


def test_one_seed_has_no_deviation_and_is_valid_json():
    measured = measure(GOOD, {"global": GOOD}, LABELS, CLASSES, np.full(3, 0.5))
    figures = summarise([measured])
    assert figures["mAP"] == {"mean": 100.0, "std": None, "seeds": [100.0]}
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_differences_of_pairs():
    methods = {
        "low": ResampledMap(50.0, np.array([49.0, 50.0, 51.0])),
        "high": ResampledMap(60.12345, np.array([59.0, 61.0, 62.0])),
    }
    assert differences(methods, [("high", "low"), ("low", "low")]) == [
        {"ours": "high", "theirs": "low", "difference": 10.123, "low": 10.05, "high": 11.0},
        {"ours": "low", "theirs": "low", "difference": 0.0, "low": 0.0, "high": 0.0},
    ]


def figures_of(mean, std=None, **more):
    return {"mAP": {"mean": mean, "std": std, "seeds": []}, "CF1": 40.0, "OF1": 50.0, **more}


def test_the_table_as_a_person_reads_it():
    metrics = {
        "methods": {
            "zero_shot": figures_of(60.0),
            "t2i_pal": figures_of(71.5, 0.321, ECE=0.0312),
            "supervised": figures_of(80.0),
        },
        "differences": [
            {"ours": "t2i_pal", "theirs": "zero_shot", "difference": 11.5, "low": 9.25, "high": 13.0},
            {"ours": "t2i_pal", "theirs": "supervised", "difference": -8.5, "low": -9.0, "high": -8.0},
            {"ours": "t2i_pal", "theirs": "t2i_pal", "difference": 0.0, "low": -1.0, "high": 1.0},
        ],
    }
    assert table(metrics).splitlines() == [
        "method               mAP  gap closed    CF1    OF1     ECE",
        "zero_shot          60.00       0.0 %  40.00  50.00",
        "t2i_pal     71.50 ± 0.32      57.5 %  40.00  50.00  0.0312",
        "supervised         80.00     100.0 %  40.00  50.00",
        "",
        "difference               mAP    95 % interval",
        "t2i_pal - zero_shot   +11.50  +9.25 to +13.00  *",
        "t2i_pal - supervised   -8.50   -9.00 to -8.00  *",
        "t2i_pal - t2i_pal      +0.00   -1.00 to +1.00",
        "* the interval excludes zero; it covers the choice of test images alone",
    ]


def test_without_both_ends_no_gap_is_told():
    lines = table({"methods": {"zero_shot": figures_of(60.0), "t2i_pal": figures_of(71.5)}}).splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["zero_shot", "60.00", "40.00", "50.00"],
        ["t2i_pal", "71.50", "40.00", "50.00"],
    ]
