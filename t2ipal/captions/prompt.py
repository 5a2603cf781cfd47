"""What the language model is asked."""

from collections.abc import Sequence


def join_names(names: Sequence[str]) -> str:
    """Return class names as a phrase: "fish", "fish and tree", "fish , house and tree".

    The comma stands apart, so that the phrase is the same sequence of words for a word-level tokenizer.
    """
    if len(names) == 1:
        return names[0]
    return f"{' , '.join(names[:-1])} and {names[-1]}"


def chat_messages(template: str, names: Sequence[str]) -> list[dict[str, str]]:
    """Return the conversation that asks for a caption naming these classes, as chat templates take it.

    `template` is the recipe's `captions.prompt`; "{classes}" in it stands for the names.
    """
    return [{"role": "user", "content": template.replace("{classes}", join_names(names))}]


def prior_messages(template: str, name: str, others: Sequence[str]) -> list[dict[str, str]]:
    """Return the conversation that asks with which of the other classes a class is seen.

    `template` is the recipe's `captions.prior.prompt`; "{class}" and "{classes}" in it stand for the names.
    """
    text = template.replace("{classes}", ", ".join(others)).replace("{class}", name)
    return [{"role": "user", "content": text}]
