import numpy as np
import pytest

from t2ipal.evaluation.decisions import precision_recall_f1, top


def test_figures_worked_by_hand():
    # Taken, held and right: of the first 2, 2, 1; of the second 1, 3, 1; of the third 1, 0, 0; of the last 0,
    # 1, 0.
    taken = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]], dtype=bool)
    labels = np.array([[1, 1, 0, 1], [0, 1, 0, 0], [1, 1, 0, 0]], dtype=bool)
    cp, cr = (1 / 2 + 1 + 0) / 3, (1 / 2 + 1 / 3 + 0) / 3
    op, recall = 2 / 4, 2 / 6
    assert precision_recall_f1(taken, labels) == pytest.approx(
        {
            "CP": 100 * cp,
            "CR": 100 * cr,
            "CF1": 100 * 2 * cp * cr / (cp + cr),
            "OP": 100 * op,
            "OR": 100 * recall,
            "OF1": 100 * 2 * op * recall / (op + recall),
        }
    )


def test_taking_nothing_scores_nothing():
    labels = np.array([[True, False], [True, True]])
    figures = precision_recall_f1(np.zeros_like(labels), labels)
    assert list(figures) == ["CP", "CR", "CF1", "OP", "OR", "OF1"]
    assert set(figures.values()) == {0.0}


def test_taking_what_is_there_is_perfect():
    labels = np.array([[True, False, False], [True, True, False]])
    assert set(precision_recall_f1(labels, labels).values()) == {100.0}


def test_top_takes_the_highest_of_each_image():
    scores = np.array([[0.1, -3.0, 0.3, 0.2], [5.0, 5.0, 5.0, 5.0]], dtype=np.float32)
    assert top(scores, 2).tolist() == [[False, False, True, True], [True, True, False, False]]
    assert top(scores).sum(axis=1).tolist() == [3, 3]
    assert top(scores[:, :2]).all()  # of two classes there are no three
