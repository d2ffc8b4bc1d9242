"""The contrastive loss of a whole step: each anchor has to find its own positive among all candidates of the step.

Candidates are the positives and negatives of all ranks and micro-batches, so the loss is not a sum over micro-batches and
cannot be taken one micro-batch at a time.  What can is its gradient: with the embeddings of the whole step known, the gradient
of the loss by each embedding is (`embedding_gradients`), and the chain rule does the rest one micro-batch at a time.  This is
gradient caching (Gao et al. 2021, arXiv 2101.06983); it costs one more forward pass, and the update does not depend on how a
step is cut or on the number of ranks.

Shapes: N examples of a step, K texts of each (anchor, positive, perhaps a negative), D the embedding's size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

Tensor = torch.Tensor


@dataclass(frozen=True)
class Texts:
    """The texts of examples.

    Attributes:
        embeddings: [N, K, D], of any length.
        keys: [N, K] int64, equal for equal texts.
        weights: [N] share of each example in the loss; one of weight 0 is a filler, and no candidate either.
    """

    embeddings: Tensor
    keys: Tensor
    weights: Tensor


def in_batch_losses(texts: Texts, scale: float) -> Tensor:
    """Cross entropy of each anchor over all candidates [N]; similarity is the cosine, times ``scale`` (1 / temperature).

    A text that is the anchor's own positive once more, given with another anchor, is no wrong answer and is left out.
    """
    unit = functional.normalize(texts.embeddings, dim=-1)
    anchors, candidates = unit[:, 0], unit[:, 1:].transpose(0, 1).flatten(0, 1)
    candidate_keys = texts.keys[:, 1:].transpose(0, 1).flatten()
    own = torch.arange(len(anchors), device=anchors.device)
    copies = texts.keys[:, 1:2] == candidate_keys
    copies[own, own] = False
    scores = (anchors @ candidates.T * scale).masked_fill(copies, -torch.inf)
    return functional.cross_entropy(scores, own, reduction="none")


def embedding_gradients(texts: Texts, scale: float) -> tuple[Tensor, Tensor]:
    """Each example's weighted loss [N], and the gradient [N, K, D] of their sum by every embedding.

    Args:
        texts: those of the whole step, in one order on every rank.
        scale: as in `in_batch_losses`.
    """
    there = texts.weights > 0
    leaves = texts.embeddings[there].detach().float().requires_grad_(True)
    with torch.enable_grad():
        found = in_batch_losses(Texts(leaves, texts.keys[there], texts.weights[there]), scale) * texts.weights[there]
        (gradient,) = torch.autograd.grad(found.sum(), leaves)
    losses, gradients = torch.zeros_like(texts.weights), torch.zeros_like(texts.embeddings, dtype=torch.float32)
    losses[there], gradients[there] = found.detach(), gradient
    return losses, gradients


def surrogate(embeddings_BKD: Tensor, gradients_BKD: Tensor, losses_B: Tensor) -> Tensor:  # noqa: N803 - shapes
    """A scalar with the value of the micro-batch's share of the loss, and with its gradient by the parameters.

    Args:
        embeddings_BKD: this micro-batch's embeddings, with their graph.
        gradients_BKD: the step's gradient by them.
        losses_B: weighted losses of its examples.
    """
    inner = (embeddings_BKD.float() * gradients_BKD).sum()
    return inner - inner.detach() + losses_B.sum()
