import pytest

from t2ipal.errors import UserError
from t2ipal.method_names import Limit, Name, parse_name, relevant_settings
from t2ipal.method_settings import MethodsSettings


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("dual_coop", None),
        ("dual_coop-shots-4", Limit("shots", 4)),
        ("dual_coop-labels-10", Limit("labels", 10)),
    ],
)
def test_names_of_what_learns_from_few_labels(name, limit):
    parsed = parse_name(name)
    assert parsed == Name("dual_coop", limit=limit)
    assert (parsed.plain, parsed.source) == (name, "labelled")
    assert parse_name(f"{name}_standardised") == Name("dual_coop", standardised=True, limit=limit)


def test_a_fused_name_has_both_parts():
    parsed = parse_name("t2i_pal-without-adapter+dual_coop-labels-30")
    assert parsed.plain == "dual_coop-labels-30"
    assert parsed.source == "labelled"
    assert parsed.label_free == Name("t2i_pal", without="adapter")
    assert parsed.label_free.plain == "t2i_pal-without-adapter"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("dual_coop-shots-0", "no method is named"),
        ("dual_coop-shots-many", "no method is named"),
        ("dual_coop-labels-100", "asks for 100 %"),
        ("t2i_pal-shots-4", "t2i_pal does not learn from few labels"),
        ("t2i_pal+dual_coop", "'dual_coop' has no place behind the plus"),
        ("t2i_pal+tai_dpt", "'tai_dpt' has no place behind the plus"),
        ("zero_shot+dual_coop-shots-4", "'zero_shot' has no place before the plus"),
        ("supervised+dual_coop-shots-4", "'supervised' has no place before the plus"),
        ("dual_coop-shots-1+dual_coop-shots-4", "has no place before the plus"),
        ("t2i_pal_standardised+dual_coop-shots-4", "'t2i_pal_standardised' has no place before the plus"),
        ("t2i_pal+dual_coop-shots-4_standardised", "has no place behind the plus"),
        ("t2i_pal+pvp+dual_coop-shots-4", "no method is named"),
        ("+dual_coop-shots-4", "no method is named ''"),
    ],
)
def test_what_is_no_name_is_refused(name, says):
    with pytest.raises(UserError, match=says.replace("+", r"\+")):
        parse_name(name)


def test_what_learns_from_labels_has_settings_of_its_own():
    assert set(relevant_settings("dual_coop-shots-4", MethodsSettings())) == {"dual_coop", "zero_shot"}
