"""The loss of a whole step, taken in pieces: sentence-transformers' value, and its gradient whatever the cut."""

import pytest
import torch
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

from job.workers.contrast import Texts, embedding_gradients, in_batch_losses, surrogate

SCALE = 20.0


def texts(count, columns=2, dimension=5):
    torch.manual_seed(count)
    return Texts(torch.randn(count, columns, dimension), torch.arange(count * columns).view(count, columns), torch.ones(count))


@pytest.mark.parametrize("columns", [2, 3, 4])
def test_the_loss_is_sentence_transformers(columns):
    given = texts(7, columns)
    reference = MultipleNegativesRankingLoss(torch.nn.Identity(), scale=SCALE)
    expected = reference.compute_loss_from_embeddings(list(given.embeddings.unbind(1)), torch.zeros(0))
    assert float(in_batch_losses(given, SCALE).mean()) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("cuts", [[9], [4, 5], [1, 2, 6], [1] * 9])
def test_the_gradient_does_not_depend_on_the_cut(cuts):
    inputs, given = torch.randn(9, 3, 4), texts(9, 3, 5)
    weights = torch.rand(9) + 0.5

    def gradient(pieces):
        torch.manual_seed(0)
        model = torch.nn.Linear(4, 5)
        whole = Texts(model(inputs), given.keys, weights)
        losses, gradients = embedding_gradients(whole, SCALE)
        total = 0.0
        for piece, slope, loss in zip(inputs.split(pieces), gradients.split(pieces), losses.split(pieces), strict=True):
            value = surrogate(model(piece), slope, loss)
            total += float(value.detach())
            value.backward()
        return model.weight.grad, total

    torch.manual_seed(0)
    model = torch.nn.Linear(4, 5)
    straight = (in_batch_losses(Texts(model(inputs), given.keys, weights), SCALE) * weights).sum()
    straight.backward()
    found, value = gradient(cuts)
    assert value == pytest.approx(float(straight.detach()), rel=1e-5)
    assert torch.allclose(found, model.weight.grad, rtol=1e-4, atol=1e-6)


def test_fillers_are_no_candidates():
    given = texts(6)
    weights = torch.tensor([1.0, 1, 1, 1, 0, 0])
    losses, gradients = embedding_gradients(Texts(given.embeddings, given.keys, weights), SCALE)
    four = Texts(given.embeddings[:4], given.keys[:4], weights[:4])
    assert torch.allclose(losses[:4], in_batch_losses(four, SCALE))
    assert losses[4:].tolist() == [0, 0]
    assert not gradients[4:].any()


def test_a_copy_of_the_right_answer_is_no_wrong_one():
    given = texts(4)
    given.embeddings[2, 1] = given.embeddings[0, 1]
    counted = in_batch_losses(given, 1.0)
    given.keys[2, 1] = given.keys[0, 1]
    spared = in_batch_losses(given, 1.0)
    others = torch.tensor([0, 1, 3])
    alone = in_batch_losses(Texts(given.embeddings[others], given.keys[others], torch.ones(3)), 1.0)
    assert float(spared[0]) == pytest.approx(float(alone[0]), rel=1e-5)
    assert spared[0] < counted[0]
    assert float(spared[1]) == pytest.approx(float(counted[1]))
