import torch

from job.workers.content import digest_of_model


def test_every_bit_and_every_name_counts():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    first = digest_of_model(model)
    assert digest_of_model(model) == first
    with torch.no_grad():
        model[0].bias[1] += 1e-6
    second = digest_of_model(model)
    assert second != first
    model[1].running_mean[0] = 1
    assert digest_of_model(model) not in {first, second}
    renamed = torch.nn.ModuleDict({"a": model[0]})
    assert digest_of_model(renamed) != digest_of_model(torch.nn.ModuleDict({"b": model[0]}))
