"""Requests as an engine of the job's own takes them: conversations as token ids.

A language model reads a conversation through its chat template, whose text has all marks in it. So no more of
them may be added when it is cut into tokens, which ray.data.llm, as vLLM for a text, would do: models like
Llama 3 would read two beginnings. This does so for a shard at a time.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from t2ipal.captions.requests import MakeRequests
from t2ipal.errors import UserError


class TokenizedRequests:
    """Makes the rows of ray.data.llm's engine for one shard after another.

    `model` is a folder or the name on the hub, `engine` the arguments of vLLM's engine: some of them are
    about the tokenizer. Raises UserError for a model that takes no conversations.
    """

    def __init__(self, make_requests: MakeRequests, model: str, engine: Mapping[str, Any]) -> None:
        from transformers import AutoTokenizer

        source = engine.get("tokenizer") or model
        self._make_requests = make_requests
        self._tokenizer = AutoTokenizer.from_pretrained(
            source,
            revision=engine.get("tokenizer_revision") or engine.get("revision") or "main",
            trust_remote_code=engine.get("trust_remote_code", False),
        )
        try:  # a template may be there without being an attribute: Mistral's tokenizers have it in code
            self._token_ids([[{"role": "user", "content": "a"}]])
        except ValueError as error:
            raise UserError(
                f"the tokenizer of {source!r} takes no conversations ({error}): captions.model must be one "
                "that was tuned to follow instructions",
                "choose another captions.model",
            ) from error

    def __call__(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the rows of the shard that `row` names: of an Answer the first three columns, token ids,
        sampling parameters.
        """
        requests = self._make_requests(row["shard"])
        if not requests:
            return []
        prompts = self._token_ids([request["messages"] for request in requests])
        return [
            {
                "shard": request["shard"],
                "index": request["index"],
                "candidate": request["candidate"],
                "tokenized_prompt": ids,
                "sampling_params": request["sampling_params"],
            }
            for request, ids in zip(requests, prompts, strict=True)
        ]

    def _token_ids(self, conversations: Sequence[list[dict[str, str]]]) -> list[list[int]]:
        ids: list[list[int]] = self._tokenizer.apply_chat_template(
            conversations, add_generation_prompt=True, return_dict=False
        )
        return ids
