import hashlib

import pytest
from fastapi.testclient import TestClient

from serve.keys import Keys, main
from t2ipal.errors import UserError
from t2ipal.serve_recipe import KeySettings
from tests.serve.here import paths, served
from tests.serve.http import noise, png

KEY = "t2ipal-secret"
LINE = f"mine:{hashlib.sha256(KEY.encode()).hexdigest()}"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "keys"
    path.write_text(f"# who may ask: mine, other\n{LINE}\n\n  # soon gone\nmine:{'0' * 64}\n")
    return str(path)


def test_a_key_has_an_owner(file):
    keys = Keys.load(KeySettings(file=file))
    assert keys.owner(f"Bearer {KEY}") == "mine"
    assert keys.owner(f"bearer  {KEY} ") == "mine"
    for wrong in ("", KEY, f"Basic {KEY}", "Bearer", "Bearer t2ipal-secreT", f"Bearer {LINE}"):
        assert keys.owner(wrong) is None


def test_keys_from_the_environment(monkeypatch):
    monkeypatch.setenv("WHO", f"{LINE},other:{'0' * 64}")
    assert Keys.load(KeySettings(variable="WHO")).owner(f"Bearer {KEY}") == "mine"


@pytest.mark.parametrize("text", ["", "# nobody", "mine", f"mine:{KEY}", f"{LINE}\nmine two:{'0' * 64}"])
def test_a_file_without_hashes_lets_nobody_in_and_says_so(tmp_path, text):
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(UserError, match=r"does not hold lines NAME:SHA256(?s:.*)python -m serve\.keys"):
        Keys.load(KeySettings(file=str(path)))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"keys\.file: .*No such file"):
        Keys.load(KeySettings(file=str(tmp_path / "keys")))


def test_a_key_is_made_and_only_its_hash_is_kept(tmp_path, capsys):
    assert main(["mine"]) == 0
    key, line = (text.split()[-1] for text in capsys.readouterr().out.splitlines())
    path = tmp_path / "keys"
    path.write_text(line)
    assert key not in line
    assert Keys.load(KeySettings(file=str(path))).owner(f"Bearer {key}") == "mine"
    with pytest.raises(SystemExit):
        main(["my own"])


def test_who_has_no_key_gets_no_answer(bundle, file, no_ray):
    api, service = paths(served(bundle, keys={"file": file}))
    with TestClient(api) as client:
        for path in ("/v1/recognizers", "/v1/vocabulary"):
            refused = client.get(path)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
            assert KEY not in refused.text
        body = {"content": png(noise(0)), "headers": {"Content-Type": "image/png"}}
        assert client.post("/v1/recognize", **body).status_code == 401
        assert service.admitted == []
        body["headers"]["Authorization"] = f"Bearer {KEY}"
        assert client.post("/v1/recognize", **body).status_code == 200
        assert service.admitted == ["mine"]
        assert client.get("/healthz").status_code == 200
