from t2ipal.evaluation.comparison import pairs_of


def test_a_fused_recognizer_is_compared_with_both_of_its_parts():
    names = ["t2i_pal", "dual_coop-shots-4", "t2i_pal+dual_coop-shots-4", "tai_dpt+dual_coop-shots-4"]
    assert pairs_of(names) == [
        ("t2i_pal+dual_coop-shots-4", "dual_coop-shots-4"),
        ("t2i_pal+dual_coop-shots-4", "t2i_pal"),
        ("tai_dpt+dual_coop-shots-4", "dual_coop-shots-4"),
    ]
