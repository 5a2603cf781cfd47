import socket

import httpx
import pytest
from ray import serve

from jobs.client import ask
from serve.deploy import check_cluster, check_port, deployed
from t2ipal.errors import UserError
from t2ipal.store import Store
from tests.serve.http import free_port, noise


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
    with pytest.raises(UserError, match="no recognizer bundle"), deployed(run[0], Store.open(str(tmp_path))):
        pass


def changed(run, **settings):
    """Return the run's recipe with other settings of the endpoint."""
    recipe, _ = run
    return recipe.model_copy(update={"serve": recipe.serve.model_copy(update={"cpus": 0.5, **settings})})


def test_the_port_in_use_is_found_and_nothing_is_left(run, taken, ray_cluster):
    with pytest.raises(UserError, match="is in use"), deployed(changed(run, port=taken), run[1]):
        pass
    assert not serve.status().proxies


def test_what_goes_wrong_before_serve_runs_is_what_is_told(run, ray_cluster, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("the proxy did not start")

    monkeypatch.setattr(serve, "start", fail)
    with (
        pytest.raises(RuntimeError, match="the proxy did not start"),
        deployed(changed(run, port=free_port()), run[1]),
    ):
        pass


@pytest.fixture(scope="module")
def neighbour(run, ray_cluster):
    """An application that somebody else serves, and the port of the cluster's Ray Serve."""
    port = free_port()
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(Hello.bind(), name="hello", route_prefix="/")
    yield port
    serve.shutdown()


@serve.deployment(ray_actor_options={"num_cpus": 0})
class Hello:
    def __call__(self, request):
        return "hello"


def hello(port):
    return httpx.get(f"http://127.0.0.1:{port}/", timeout=60).text


def test_an_application_of_others_is_neither_replaced_nor_taken_away(run, neighbour):
    for name in ("t2ipal", "hello"):  # the one has its path, the other its name
        ours = deployed(changed(run, port=neighbour, application=name), run[1])
        with pytest.raises(UserError, match=r"(?s)application 'hello' .*serve\.application"), ours:
            pass
        assert hello(neighbour) == "hello"


def test_another_port_than_that_of_the_running_serve(run, neighbour):
    with pytest.raises(
        UserError, match=rf"listens on 127\.0\.0\.1:{neighbour} .*recipe says 127\.0\.0\.1:9\b"
    ):
        check_cluster(changed(run, port=9).serve)


def test_beside_others_it_has_a_path_of_its_own_and_goes_alone(run, neighbour):
    with deployed(changed(run, port=neighbour, application="mine"), run[1]) as url:
        assert url == f"http://127.0.0.1:{neighbour}/mine"
        assert set(ask(url, noise(0))["scores"]) == {"fish", "house", "tree"}
        assert hello(neighbour) == "hello"
    assert set(serve.status().applications) == {"hello"}
    assert hello(neighbour) == "hello"
