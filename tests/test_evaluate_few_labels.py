from jobs.evaluate import ALL, DEFAULT, FEW, GROUPS, _names
from t2ipal.method_names import parse_name


def test_few_labels_are_a_group_of_their_own():
    assert len(FEW) == 1 + 2 * 10
    assert {"t2i_pal", "dual_coop-shots-16", "t2i_pal+dual_coop-labels-90"} < set(FEW)
    assert not any("dual_coop" in name for name in (*DEFAULT, *ALL))


def test_groups_and_names_may_be_mixed():
    assert _names("limited, t2i_pal, zero_shot") == [*FEW, "zero_shot"]
    assert all(parse_name(name) for names in GROUPS.values() for name in names)
