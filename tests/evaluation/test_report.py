import numpy as np

from t2ipal.evaluation.report import measure, table


def test_figures_are_points_by_class_and_part():
    labels = np.array([[True, False, False], [False, True, False]])
    good = np.array([[0.9, 0.1, 0.0], [0.1, 0.9, 0.0]], dtype=np.float32)
    figures = measure(good, {"global": good, "local": -good}, labels, ["cat", "dog", "owl"])
    assert figures == {
        "mAP": {"mean": 100.0, "per_class": {"cat": 100.0, "dog": 100.0, "owl": None}},
        "parts": {"global": 100.0, "local": 50.0},
    }


def test_the_table_has_a_line_for_each_method():
    figures = {"mAP": {"mean": 71.5}, "parts": {"global": 71.5}}
    lines = table({"methods": {"zero_shot": figures, "t2i_pal": figures}}).splitlines()
    assert [line.split()[0] for line in lines] == ["method", "zero_shot", "t2i_pal"]
    assert lines[1].split()[1:] == ["71.50", "global", "71.5"]
