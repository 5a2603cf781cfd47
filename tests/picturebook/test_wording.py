import numpy as np

from t2ipal.picturebook.tokenizer import CLIP_CONTEXT, clip_tokenizer, writer_tokenizer
from t2ipal.picturebook.wording import request_and_caption, words
from t2ipal.vocabulary import Vocabulary


def test_a_caption_names_exactly_what_was_requested():
    rng = np.random.default_rng(0)
    known = Vocabulary.load("picturebook")
    for _ in range(200):
        labels, request, caption = request_and_caption(rng)
        assert known.labels(caption) == tuple(sorted(labels)) == known.labels(request)


def test_tokenizers_know_every_word_and_clip_ends_with_its_end():
    rng = np.random.default_rng(1)
    clip, writer = clip_tokenizer(), writer_tokenizer()
    assert clip.eos_token_id == len(clip) - 1
    assert clip.bos_token_id == len(clip) - 2
    assert len(words()) < len(writer) < 1000
    for _ in range(200):
        _, request, caption = request_and_caption(rng)
        for text in (request, caption):
            assert clip.unk_token_id not in clip(text)["input_ids"]
            assert writer.unk_token_id not in writer(text)["input_ids"]
        assert len(clip(caption)["input_ids"]) <= CLIP_CONTEXT


def test_the_chat_template_opens_a_caption():
    tokenizer = writer_tokenizer()
    chat = [{"role": "user", "content": "write a caption with fish ."}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert text == "<begin> write a caption with fish . <caption>"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
