import pytest
from tokenizers.processors import TemplateProcessing

from t2ipal.captions.requests import Request
from t2ipal.captions.tokens import TokenizedRequests
from t2ipal.errors import UserError
from tests.tiny_models import CHAT_TEMPLATE, word_tokenizer

WORDS = ["write", "fish", "house"]
BEGIN, WRITE, FISH, HOUSE = 1, 3, 4, 5  # ids: <unk>, <s> and </s> come first


def make_requests(shard):
    """One for each word of the shard's name."""
    return [
        Request(
            shard=shard,
            index=number,
            candidate=2,
            messages=[{"role": "user", "content": f"write {name}"}],
            sampling_params={"seed": number, "temperature": 0.5},
        )
        for number, name in enumerate(shard.split())
    ]


@pytest.fixture
def folder(tmp_path):
    """Of a tokenizer that begins every text by itself, as Llama 3's does."""
    tokenizer = word_tokenizer(WORDS, chat_template=CHAT_TEMPLATE)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", BEGIN)]
    )
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_shard_becomes_rows_of_the_engine_with_one_beginning_each(folder):
    rows = TokenizedRequests(make_requests, str(folder), {})({"shard": "fish house"})
    assert rows == [
        {
            "shard": "fish house",
            "index": index,
            "candidate": 2,
            "tokenized_prompt": [BEGIN, WRITE, name],
            "sampling_params": {"seed": index, "temperature": 0.5},
        }
        for index, name in enumerate((FISH, HOUSE))
    ]


def test_a_shard_without_open_rows_has_no_requests(folder):
    assert TokenizedRequests(make_requests, str(folder), {})({"shard": ""}) == []


def test_the_engines_own_tokenizer_is_used(folder, tmp_path):
    other = tmp_path / "other"
    word_tokenizer(["house", "write"], chat_template=CHAT_TEMPLATE).save_pretrained(other)
    (row,) = TokenizedRequests(make_requests, str(folder), {"tokenizer": str(other)})({"shard": "house"})
    assert row["tokenized_prompt"] == [BEGIN, 4, 3]


def test_a_model_that_holds_no_conversation(tmp_path):
    word_tokenizer(WORDS).save_pretrained(tmp_path)
    with pytest.raises(
        UserError, match=r"takes no conversations .*chat_template.* tuned to follow instructions"
    ):
        TokenizedRequests(make_requests, str(tmp_path), {})
