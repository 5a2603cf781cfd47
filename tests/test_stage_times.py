from t2ipal.run_files import RATES
from t2ipal.stage_times import spent


def test_the_times_of_a_stage_add_up(store):
    assert spent(store) == {}
    times = [("images", 2.5), ("captions", 1.0), ("images", 0.25)]
    store.write_json(RATES, {"rates": [{"stage": stage, "seconds": seconds} for stage, seconds in times]})
    assert list(spent(store).items()) == [("images", 2.75), ("captions", 1.0)]


def test_a_damaged_file_is_one_without_times(store):
    store.write_bytes(RATES, b"[1, 2")
    assert spent(store) == {}
