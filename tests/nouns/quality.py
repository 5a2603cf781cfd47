"""Precision and recall of the noun matcher on sentences labelled by hand: python -m tests.nouns.quality

Each line of tests/data/noun_matcher.jsonl holds a sentence and the classes that a person would say are in
the picture it describes, of those that the sentence names as things ("a man skis" names no skis; he and she
are persons). All sentences and labels were written before the matcher. Every third was held out: its errors
were not looked at while the rules were made. The part "written later" was written when the rules were
finished; its errors were not looked at either.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from t2ipal.vocabulary import Vocabulary

REPOSITORY = Path(__file__).parents[2]
SENTENCES = REPOSITORY / "tests" / "data" / "noun_matcher.jsonl"
VOCABULARIES = ("coco", "voc2007", "nus_wide")


@dataclass(frozen=True)
class Labelled:
    part: str
    vocabulary: str
    sentence: str
    labels: frozenset[str]


@dataclass(frozen=True)
class Quality:
    hits: int
    surplus: int
    missed: int

    @property
    def precision(self):
        return self.hits / (self.hits + self.surplus)

    @property
    def recall(self):
        return self.hits / (self.hits + self.missed)

    def __str__(self):
        return (
            f"precision {self.precision:.3f}, recall {self.recall:.3f}"
            f" ({self.hits} right, {self.surplus} surplus, {self.missed} missed)"
        )


def sentences():
    rows = [json.loads(line) for line in SENTENCES.read_text(encoding="utf-8").splitlines()]
    return [
        Labelled(row["part"], row["vocabulary"], row["sentence"], frozenset(row["labels"])) for row in rows
    ]


def vocabularies():
    folder = REPOSITORY / "jobs" / "vocabularies"
    return {name: Vocabulary.load(str(folder / f"{name}.yaml")) for name in VOCABULARIES}


def measure(rows):
    hits = surplus = missed = 0
    known = vocabularies()
    for row in rows:
        vocabulary = known[row.vocabulary]
        found = {vocabulary.names[i] for i in vocabulary.labels(row.sentence)}
        hits += len(found & row.labels)
        surplus += len(found - row.labels)
        missed += len(row.labels - found)
    return Quality(hits, surplus, missed)


def main():
    rows = sentences()
    for part in dict.fromkeys(row.part for row in rows):
        of_part = [row for row in rows if row.part == part]
        print(f"{part:14} {len(of_part):4} sentences: {measure(of_part)}")
    print(f"{'all':14} {len(rows):4} sentences: {measure(rows)}")


if __name__ == "__main__":
    main()
