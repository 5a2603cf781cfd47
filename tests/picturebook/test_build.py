import json

import pytest

from t2ipal.picturebook import build, train_painter


def test_only_the_painter_can_be_improved(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        build.main(["clip", "--improve", "--work", str(tmp_path)])
    assert "only the painter can be improved, not clip" in capsys.readouterr().err


def ended(folder):
    folder.mkdir()
    (folder / "progress.json").write_text(json.dumps({"step": train_painter.SCHEDULE.steps}))


def test_a_finished_course_is_not_saved_as_an_improvement(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(build, "_paint_and_save", lambda painter, work, name: pytest.fail("trained again"))
    ended(tmp_path / "improved")
    with pytest.raises(SystemExit, match="2"):
        build.main(["painter", "--improve", "--work", str(tmp_path)])
    assert "has been improved in" in capsys.readouterr().err


def test_the_first_course_is_not_gone_on_with(tmp_path, monkeypatch):
    courses = []
    monkeypatch.setattr(build, "_paint_and_save", lambda painter, work, name: courses.append(name))
    ended(tmp_path / "painter")
    build.improve_painter(tmp_path)
    assert courses == ["improved"]
