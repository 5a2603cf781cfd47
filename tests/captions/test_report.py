from t2ipal.captions.report import acceptance, notes, rejections, unnamed, write_report
from t2ipal.run_files import CAPTION_REPORT
from t2ipal.vocabulary import Vocabulary
from tests.captions.writing import ask, rounds


def test_what_the_manifests_say_is_summed_by_attempt():
    extras = [
        {"asked": 10, "rejected": 1, "duplicates": 2, "accepted": [6, 3], "kept": 7},
        {"asked": 10, "rejected": 0, "duplicates": 0, "accepted": [10], "kept": 10},
        {"asked": 5, "rejected": 4, "kept": 1},  # of a former version
    ]
    assert acceptance(extras) == {
        "asked": 25,
        "rejected": 5,
        "duplicates": 2,
        "accepted": [17, 3],
        "acceptance": 0.8,
    }


def test_the_report_counts_the_classes_and_pairs_of_the_table(tmp_path):
    each = rounds(tmp_path, ask(), attempts=20, classes_per_caption=[1, 2])
    each.complete(each.plan.shards())
    names = Vocabulary.load(["fish", "house", "tree"])
    report = write_report(each.shards, each.shards.done(), names, {"asked": 12})
    assert each.shards.store.read_json(CAPTION_REPORT) == report
    assert (report["asked"], report["captions"]) == (12, 12)
    assert report["classes"] == {"fish": 6, "house": 6, "tree": 6}  # 2 blocks of 1 class, 2 of 2
    assert sum(count for others in report["pairs"].values() for count in others.values()) == 6
    assert notes(report)["per class"] == "6 to 6"
    assert notes({"classes": {"a": 2, "b": 5, "c": 0}, "pairs": {"a": {"b": 1}}}) == {
        "per class": "0 to 5",
        "pairs": "1 of 3",
    }


def test_rejected_answers_about_classes_that_no_caption_names_come_first():
    fish, zebra = ({"classes": [name], "answer": "a horse"} for name in ("fish", "zebra"))
    extras = [{}, *[{"rejections": [fish] * 3}] * 10, {"rejections": [zebra]}]
    assert rejections(extras, {"fish": 2, "zebra": 0}) == [zebra, *[fish] * 19]


def test_classes_that_no_caption_names_are_told():
    counts = {"fish": 2, "zebra": 0, "giraffe": 0}
    assert unnamed({"classes": {"fish": 1}}) == ""
    assert unnamed({"classes": counts}) == "no caption names zebra, giraffe"
    rejected = [{"classes": ["zebra"], "answer": "a horse"}]
    report = {"classes": counts, "rejections": rejected}
    assert unnamed(report) == (
        "no caption names zebra, giraffe; captions/_report.json shows answers that were rejected"
    )
    assert unnamed({"classes": {str(i): 0 for i in range(25)}}).endswith(" and 5 more")
