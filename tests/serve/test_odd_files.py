"""Every image that a camera or browser makes is answered, and every broken one is refused."""

import pytest
from fastapi.testclient import TestClient

from tests.serve.here import paths, served
from tests.serve.odd_files import files

FILES = files()


@pytest.fixture(scope="module")
def client(bundle, no_ray):
    api, _ = paths(served(bundle, readers=1))
    with TestClient(api, raise_server_exceptions=False) as client:
        yield client


def test_there_are_many_of_them():
    assert len({file.name for file in FILES}) == len(FILES) >= 60


@pytest.mark.parametrize("file", FILES, ids=[file.name for file in FILES])
def test_a_file_gets_the_answer_that_is_documented(client, file):
    response = client.post("/v1/recognize", content=file.data, headers={"Content-Type": "image/jpeg"})
    assert response.status_code == file.status, response.text
    if file.size is not None:
        (result,) = response.json()["results"]
        assert (result["width"], result["height"]) == file.size
    else:
        assert response.json()["detail"]


def test_all_of_them_in_one_request_spoil_only_their_own_places(bundle, no_ray):
    api, _ = paths(served(bundle, readers=2, limits={"images": len(FILES)}))
    with TestClient(api) as client:
        response = client.post("/v1/recognize", files=[("images", (file.name, file.data)) for file in FILES])
    found = [result.get("status", 200) for result in response.json()["results"]]
    assert found == [file.status for file in FILES]
