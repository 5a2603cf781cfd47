import socket

import pytest

from serve.deploy import check_port, deploy
from t2ipal.errors import UserError
from t2ipal.store import Store
from tests.serve.http import free_port


@pytest.fixture
def taken():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_free_port():
    check_port("127.0.0.1", free_port())


def test_a_port_in_use(taken):
    with pytest.raises(UserError, match=rf"port {taken} of 127\.0\.0\.1 is in use"):
        check_port("127.0.0.1", taken)


def test_an_address_of_another_machine():
    with pytest.raises(UserError, match=r"cannot listen on port 9000 of '192\.0\.2\.77'"):
        check_port("192.0.2.77", 9000)


def test_a_host_that_does_not_exist():
    with pytest.raises(UserError, match=r"of 'nowhere\.invalid'"):
        check_port("nowhere.invalid", 9000)


def test_a_run_without_a_bundle(run, tmp_path):
    with pytest.raises(UserError, match="no recognizer bundle"):
        deploy(run[0], Store.open(str(tmp_path)))


def test_deploy_finds_the_port_in_use(run, taken, ray_cluster):
    recipe, store = run
    busy = recipe.model_copy(update={"serve": recipe.serve.model_copy(update={"port": taken})})
    with pytest.raises(UserError, match="is in use"):
        deploy(busy, store)
