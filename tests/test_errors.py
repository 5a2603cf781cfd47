import pickle

from t2ipal.errors import UserError


def test_text_is_problem_then_remedy():
    assert str(UserError("port 80 is in use", "choose another")) == "port 80 is in use\n  choose another"


def test_survives_the_way_back_from_a_worker():
    error = pickle.loads(pickle.dumps(UserError("a", "b")))
    assert (error.problem, error.remedy) == ("a", "b")
