import pytest
import torch
from PIL import Image

from serve.args import Served
from serve.call import Refusal
from serve.shelf import Shelf
from t2ipal import Recognizer
from t2ipal.errors import UserError
from t2ipal.model_thread import ModelThread


def shelf(*pairs, default=None):
    made = Shelf("cpu", 1, ModelThread("cpu"), threads=1)
    made.change(Served(recognizers=dict(pairs), default=default))
    return made


def versions(shelf):
    return {each.name: each.version for each in shelf.described()}


def test_several_recognizers_by_name(bundle, other_bundle):
    both = shelf(("a", bundle), ("b", other_bundle), default="b")
    found = versions(both)
    assert found["a"] != found["b"]
    for asked, name in ((None, "b"), ("a", "a"), ("b", "b")):
        got, recognizer = both.find(asked)
        assert (got, recognizer.version) == (name, found[name])
    assert [each.default for each in both.described()] == [False, True]
    assert both.find("c") == Refusal(404, "there is no recognizer 'c'; there are: a, b")


def test_another_bundle_takes_the_place_of_the_former_one(bundle, other_bundle):
    one = shelf(("a", bundle))
    _, before = one.find("a")
    one.change(Served(recognizers={"a": other_bundle}))
    _, after = one.find("a")
    assert before.version != after.version
    one.change(Served(recognizers={"b": bundle}))
    assert versions(one) == {"b": before.version}


def test_a_bundle_that_does_not_load_leaves_the_former_one(bundle, other_bundle, tmp_path):
    both = shelf(("a", bundle), ("b", bundle))
    before = versions(both)
    both.change(Served(recognizers={"a": str(tmp_path), "b": other_bundle}))
    a, b = both.described()
    assert (a.version, "is not a recognizer bundle" in a.failed) == (before["a"], True)
    assert (b.version != before["b"], b.failed) == (True, None)
    both.change(Served(recognizers={"a": bundle}))
    assert [each.failed for each in both.described()] == [None]


def test_a_replica_that_begins_with_a_bundle_that_does_not_load(bundle, tmp_path):
    one = Shelf("cpu", 1, ModelThread("cpu"), threads=1)
    one.change(Served(recognizers={"a": str(tmp_path)}), {"a": bundle}.get)
    (described,) = one.described()
    assert "is not a recognizer bundle" in described.failed
    assert one.sources() == {"a": bundle}
    assert one.failed()


def test_what_is_the_same_is_not_loaded_again(bundle, other_bundle):
    one = shelf(("a", bundle))
    _, before = one.find("a")
    one.change(Served(recognizers={"a": bundle, "b": other_bundle, "c": bundle}))
    assert one.find("a")[1] is one.find("c")[1] is before
    assert one.find("b")[1].backbone is before.backbone  # the same weights


def test_errors_of_any_kind_leave_the_former_one(bundle, other_bundle, monkeypatch):
    one = shelf(("a", bundle))

    def broken(*_):
        raise MemoryError("no more")

    monkeypatch.setattr(Recognizer, "predict", broken)
    one.change(Served(recognizers={"a": other_bundle}))
    assert [each.failed for each in one.described()] == ["no more"]


def test_a_bundle_that_does_not_load_and_has_no_former_one(bundle, tmp_path):
    with pytest.raises(UserError, match="is not a recognizer bundle"):
        shelf(("a", str(tmp_path)))
    one = shelf(("a", bundle))
    with pytest.raises(UserError, match="is not a recognizer bundle"):
        one.change(Served(recognizers={"b": str(tmp_path)}))
    assert list(versions(one)) == ["a"]


def test_a_model_computes_with_its_threads_after_a_load(bundle):
    """What is said on one thread holds on others that have not computed yet."""
    model = ModelThread("cpu")
    shelf = Shelf("cpu", 1, model, threads=2)
    shelf.change(Served(recognizers={"one": bundle}))
    _, recognizer = shelf.find(None)
    fitted = recognizer.fit([Image.new("RGB", (64, 64))])
    model(recognizer.read, fitted, [()])
    assert model(torch.get_num_threads) == 2
