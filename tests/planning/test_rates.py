import json

import pytest

from jobs.planning.needs import Basis
from jobs.planning.rates import SHIPPED, Measured, RateBook, RatesFile, rates_of, read_book, read_rates
from t2ipal.errors import UserError
from t2ipal.run_files import RATES
from t2ipal.store import Store
from tests.planning.rates import A10G, HERE, rate

PLAIN = Basis()


def work(amount):
    return {"work": {"images": Measured(amount=amount, seconds=1.0)}}


def test_the_source_given_first_wins_and_within_it_the_one_with_most_work():
    book = RateBook({"given": [rate(**work(5)), rate(**work(9)), rate(**work(7))], "own": [rate(**work(50))]})
    found = book.find("images", PLAIN, HERE, on_gpu=False)
    assert (found.source, found.rate.amount) == ("given", 9)


def test_of_the_same_work_the_last_one():
    later = rate(ended="2026-11-02T12:00:00+00:00")
    assert RateBook({"own": [later, rate()]}).find("images", PLAIN, HERE, False).rate == later


def test_a_stage_that_nobody_has_run():
    assert RateBook({"own": [rate("tune")]}).find("images", PLAIN, HERE, False) == "no rate measured anywhere"


def test_other_settings_are_named():
    book = RateBook({"own": [rate(settings={"images.size": 512, "images.dtype": "float32"})]})
    basis = Basis({"images.size": 1024, "images.dtype": "float32"})
    assert "one has images.size 512" in book.find("images", basis, HERE, False)
    assert "dtype" not in book.find("images", basis, HERE, False)


def test_other_hardware_is_named_with_its_speed():
    reason = RateBook({"own": [rate(hardware=A10G)]}).find("images", PLAIN, HERE, False)
    assert "no rate measured on Some CPU, 2 cores" in reason
    assert "10 s once, images 1 s on g5.2xlarge, 1 x NVIDIA A10G" in reason


def test_a_gpu_is_the_same_in_another_machine():
    other = A10G.model_copy(update={"type": "g5.xlarge"})
    assert RateBook({"own": [rate(hardware=A10G)]}).find("images", PLAIN, other, True).rate.hardware == A10G
    assert isinstance(RateBook({"own": [rate(hardware=A10G)]}).find("images", PLAIN, other, False), str)


def test_the_share_that_was_kept_holds_on_any_machine():
    small, large = rate("captions", kept=0.5, **work(5)), rate("captions", hardware=A10G, kept=0.7, **work(9))
    book = RateBook({"own": [small, large]})
    assert book.kept("captions", PLAIN) == 0.7
    assert book.kept("captions", Basis({"captions.model": "x"})) is None


def test_a_run_and_its_file_hold_the_same_rates(tmp_path):
    Store.open(str(tmp_path)).write_json(RATES, RatesFile(rates=(rate(),)).model_dump(mode="json"))
    assert read_rates(str(tmp_path)) == read_rates(str(tmp_path / RATES)) == (rate(),)


def test_those_given_come_before_the_runs_own_and_the_shipped_ones(tmp_path):
    for name in ("run", "given"):
        Store.open(str(tmp_path / name)).write_json(RATES, RatesFile(rates=(rate(),)).model_dump(mode="json"))
    run = Store.open(str(tmp_path / "run"))
    given = str(tmp_path / "given")
    assert list(read_book(run, [given]).sources)[:2] == [given, run.uri]


def test_a_damaged_file_of_a_run_will_be_replaced(tmp_path):
    store = Store.open(str(tmp_path))
    store.write_bytes(RATES, b'{"rates": [')
    assert rates_of(store) == ()
    store.write_json(RATES, {"rates": [{"stage": "images"}]})
    assert rates_of(store) == ()


@pytest.mark.parametrize("content", ["{", '{"rates": [{"stage": "images"}]}', '{"rate": []}'])
def test_a_file_that_is_given_and_holds_none(tmp_path, content):
    (tmp_path / "mine.json").write_text(content)
    with pytest.raises(UserError, match="holds no rates"):
        read_rates(str(tmp_path / "mine.json"))


def test_a_run_that_is_given_and_has_left_none(tmp_path):
    with pytest.raises(UserError, match=r"no rates\.json in a run folder"):
        read_rates(str(tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*.json")), ids=lambda file: file.name)
def test_shipped_rates_name_their_hardware(file):
    for each in RatesFile.model_validate(json.loads(file.read_text())).rates:
        assert each.hardware.cpu
        assert each.versions["torch"]
