from datetime import timedelta

import pytest

from t2ipal.filesystems import connect


@pytest.mark.parametrize(
    ("uri", "seconds"),
    [
        ("gs://anonymous@bucket/run", 30),
        ("gs://anonymous@bucket/run?scheme=http", 30),
        ("gs://anonymous@bucket/run?retry_limit_seconds=5&scheme=http", 5),
    ],
)
def test_requests_to_google_are_repeated_for_a_while_but_not_for_long(uri, seconds):
    filesystem, root, absolute = connect(uri)
    _, (settings,) = filesystem.__reduce__()
    assert settings["retry_time_limit"] == timedelta(seconds=seconds)
    assert (root, absolute) == ("bucket/run", uri)
