"""The picture world's word-level tokenizers, saved as transformers tokenizer folders.

CLIP's ends with its begin and end ids, because open_clip finds the end of a text at the largest id.
"""

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from t2ipal.picturebook.wording import words

PAD, UNKNOWN = "<pad>", "<unk>"
CLIP_CONTEXT = 24
_CHAT = (
    "{% for message in messages %}<begin> {{ message['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}<caption>{% endif %}"
)


def clip_tokenizer() -> PreTrainedTokenizerFast:
    """Wraps a text in begin and end, the two largest ids."""
    begin, end = "<|startoftext|>", "<|endoftext|>"
    core = _word_level([PAD, UNKNOWN, *words(), begin, end])
    core.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}",
        special_tokens=[(token, core.token_to_id(token)) for token in (begin, end)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=begin,
        eos_token=end,
        pad_token=PAD,
        unk_token=UNKNOWN,
        model_max_length=CLIP_CONTEXT,
    )


def writer_tokenizer() -> PreTrainedTokenizerFast:
    """Adds nothing by itself: the chat template writes the marks between request and caption."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_word_level([PAD, UNKNOWN, "<begin>", "<caption>", "<end>", *words()]),
        bos_token="<begin>",
        eos_token="<end>",
        pad_token=PAD,
        unk_token=UNKNOWN,
        additional_special_tokens=["<caption>"],
        model_max_length=128,
    )
    tokenizer.chat_template = _CHAT
    return tokenizer


def _word_level(vocabulary: list[str]) -> Tokenizer:
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token=UNKNOWN))
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    return core
