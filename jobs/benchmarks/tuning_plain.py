"""The same steps in plain PyTorch, as the published code of TaI-DPT and TAI++ takes them, and T2I-PAL's by
its formulas.

Captions pass the text tower at every step, at all its 77 places; so do the prompts, one set after the other;
the ranking loss is that of tables [B, C, C] of all pairs; pseudo images pass the image tower all at once; the
class-wise features of T2I-PAL are a table [B, C, D]. Only the painted images' features are kept, as without
that there would be nothing but the image tower to measure.

Shapes: B rows, C classes, P patches, L places of a text, n of a context, W width of a token embedding, D
embedding width.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from jobs.benchmarks.tuning_step import OurStep, Problem
from t2ipal.methods import Images
from t2ipal.methods.randomness import StepRandom

Scores = dict[str, Tensor]


class PlainStep:
    """The step of another one's method, from the same parameters, which it copies."""

    def __init__(self, given: Problem, ours: OurStep, name: str) -> None:
        self._model, size = given.model, given.size
        self._settings = size.settings
        self._phase = ours.phase
        self._device = device = given.backbone.device
        self._labels = given.data.captions.labels.to(device)
        self._images = Images(*(each.to(device) for each in given.data.images.features))
        self._noise_length = given.data.captions.features.tokens.shape[1]
        self._texts = given.tokenizer(given.texts).to(device)
        places = " ".join(["X"] * size.context)
        self._prompts = given.tokenizer([f"{places} {each}" for each in given.names]).to(device)
        self._context = size.context
        self._parameters = {
            each: p.detach().clone().requires_grad_(p.requires_grad)
            for each, p in ours.method.named_parameters()
        }
        learning = [p for p in self._parameters.values() if p.requires_grad]
        schedule = ours.phase.schedule
        self._optimizer = torch.optim.SGD(
            learning, 1e-5, schedule.momentum, weight_decay=schedule.weight_decay
        )
        steps: Mapping[str, Callable[[StepRandom], tuple[Scores, Scores]]] = {
            "tai_dpt": self._tai_dpt,
            "pvp_pretrain": self._pvp_pretrain,
            "pvp": self._pvp,
            "t2i_pal": self._t2i_pal,
        }
        self._step = steps[name]

    def __call__(self, number: int) -> Scores:
        """Take the step of that number; return the scores [B, C] that were ranked."""
        rows = torch.arange(len(self._labels))
        ranked, losses = self._step(StepRandom(number, rows, len(rows), self._device))
        weights = self._phase.weights
        losses |= {
            name: pair_loss(scores, self._labels, self._phase.margin) for name, scores in ranked.items()
        }
        loss = sum(weights.get(name, 1.0) * each for name, each in losses.items())
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return {name: each.detach() for name, each in ranked.items()}

    def gradients(self) -> dict[str, Tensor]:
        """Return those of the last step, by the parameter's name."""
        return {name: p.grad for name, p in self._parameters.items() if p.grad is not None}

    def _tai_dpt(self, random: StepRandom) -> tuple[Scores, Scores]:
        own = self._settings.tai_dpt
        whole, tokens, mask = self._captions()
        return scores("caption", whole, tokens, self._class_prompts(), own.k_train, own.scale, mask), {}

    def _t2i_pal(self, random: StepRandom) -> tuple[Scores, Scores]:
        own = self._settings.t2i_pal
        whole, tokens, mask = self._captions()
        classes = self._class_prompts()
        x, patches = (self._adapted("adapter", each, own.alpha) for each in self._images)
        cosine = torch.einsum("bpd,cd->bcp", patches, classes[1])
        weights = (own.k_train * cosine).softmax(dim=-1)
        pooled = functional.normalize(torch.einsum("bcp,bpd->bcd", weights, patches), dim=-1)
        prototypes = functional.normalize(self._parameters["prototypes"], dim=-1)
        ranked = scores("caption", whole, tokens, classes, own.k_train, own.scale, mask)
        ranked |= scores("image", x, patches, classes, own.k_train, own.scale)
        ranked["image_prototype"] = own.scale * (pooled * prototypes).sum(dim=-1)
        return ranked, {}

    def _pvp_pretrain(self, random: StepRandom) -> tuple[Scores, Scores]:
        own = self._settings.pvp
        whole, tokens, mask = self._captions()
        whole, tokens = self._noisy(whole, tokens, random, own.pretrain.noise)
        return scores("visual", whole, tokens, self._pseudo_images(), own.pretrain.k, own.scale, mask), {}

    def _pvp(self, random: StepRandom) -> tuple[Scores, Scores]:
        own = self._settings.pvp
        whole, tokens, mask = self._captions()
        width = len(self._parameters["text_adapter.down"])

        def shared(adapter: str, features: Tensor) -> Tensor:
            kept = random.kept(own.dropout, len(features), width)
            return self._adapted(adapter, features, own.alpha, kept)

        whole = self._adapted("text_adapter", whole, own.alpha, random.kept_rows(own.dropout, width))
        whole, tokens = self._noisy(whole, tokens, random, own.noise)
        text = [shared("text_adapter", each) for each in self._class_prompts()]
        visual = [shared("image_adapter", each) for each in self._pseudo_images()]
        ranked = scores("text", whole, tokens, text, own.k_train, own.scale, mask)
        ranked |= scores("visual", whole, tokens, visual, own.visual_k_train, own.scale, mask)
        logits = self._model.logit_scale * text[0] @ visual[0].T
        targets = torch.arange(len(logits), device=logits.device)
        there, back = (
            functional.cross_entropy(each, targets, reduction="sum") for each in (logits, logits.T)
        )
        return ranked, {"contrast": (there + back) / 2}

    def _captions(self) -> tuple[Tensor, Tensor, Tensor]:
        """Features [B, D] and [B, L, D] of the sentences, and the mask [B, L] of what is not padding."""
        with torch.no_grad():
            tokens = self._text_tower(self._model.token_embedding(self._texts))
        ends = self._texts.argmax(dim=-1)
        mask = torch.arange(tokens.shape[1], device=ends.device) <= ends[:, None]
        return tokens[torch.arange(len(ends)), ends], tokens, mask

    def _class_prompts(self) -> tuple[Tensor, Tensor]:
        """Features [C, D] of the classes behind the global and the local context."""
        found = []
        for name in ("prompts.global_context", "prompts.local_context"):
            embedded = self._model.token_embedding(self._prompts)
            context = self._parameters[name].expand(len(embedded), -1, -1)
            parts = [embedded[:, :1], context, embedded[:, 1 + self._context :]]
            tokens = self._text_tower(torch.cat(parts, dim=1))
            found.append(tokens[torch.arange(len(embedded)), self._prompts.argmax(dim=-1)])
        return found[0], found[1]

    def _pseudo_images(self) -> tuple[Tensor, Tensor]:
        """Features [C, D] of the global and of the local pseudo images."""
        whole, local = (self._model.visual(self._parameters[f"visual.{name}"]) for name in ("whole", "local"))
        return functional.normalize(whole, dim=-1), functional.normalize(local, dim=-1)

    def _text_tower(self, embedded: Tensor) -> Tensor:
        """Features [N, L, D] of token embeddings [N, L, W]."""
        model = self._model
        hidden = model.transformer(embedded + model.positional_embedding, attn_mask=model.attn_mask)
        return functional.normalize(model.ln_final(hidden) @ model.text_projection, dim=-1)

    def _adapted(self, adapter: str, features: Tensor, share: float, kept: Tensor | float = 1.0) -> Tensor:
        down, up = self._parameters[f"{adapter}.down"], self._parameters[f"{adapter}.up"]
        hidden = functional.relu(features @ down.T) * kept
        return functional.normalize(share * hidden @ up.T + (1 - share) * features, dim=-1)

    def _noisy(self, whole: Tensor, tokens: Tensor, random: StepRandom, std: float) -> tuple[Tensor, Tensor]:
        """With the noise that tuning draws, which draws none for the padding."""
        whole = whole + std * random.normal_rows(whole.shape[1])
        noise = random.normal_rows(self._noise_length, tokens.shape[2])
        tokens = tokens + std * functional.pad(noise, (0, 0, 0, tokens.shape[1] - self._noise_length))
        return functional.normalize(whole, dim=-1), functional.normalize(tokens, dim=-1)


def scores(
    name: str,
    whole: Tensor,
    places: Tensor,
    classes: tuple[Tensor, Tensor] | list[Tensor],
    sharpness: float,
    scale: float,
    mask: Tensor | None = None,
) -> Scores:
    """The global and the local scores [B, C] of rows with features [B, D] and [B, P, D]."""
    cosine = torch.einsum("bpd,cd->bcp", places, classes[1])
    logits = sharpness * cosine
    if mask is not None:
        logits = logits.masked_fill(~mask[:, None], -1e4)
    local = (logits.softmax(dim=-1) * scale * cosine).sum(dim=-1)
    return {f"{name}_global": scale * whole @ classes[0].T, f"{name}_local": local}


def pair_loss(scores: Tensor, labels: Tensor, margin: float) -> Tensor:
    """The ranking loss [] over the table of all pairs."""
    gaps = functional.relu(margin - scores[:, :, None] + scores[:, None, :])
    pairs = labels[:, :, None] & ~labels[:, None, :]
    return (gaps * pairs).sum(dim=(1, 2)).mean()
