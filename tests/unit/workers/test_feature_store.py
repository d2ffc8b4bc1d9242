"""Rows in files: found by tokens, cut into chunks, written without padding and read with it."""

import datasets
import torch

from job.workers.feature_store import Examples, Store, key_of

SPLIT = datasets.Dataset.from_list([{"input_ids": ids} for ids in ([5, 6], [7], [8, 9, 5, 6], [7], [6, 5])])


def test_examples_are_different_ones_the_longest_first():
    examples = Examples.of([SPLIT, SPLIT.select([0])])
    assert examples.starts.tolist() == [0, 4, *sorted([6, 8]), 9]
    assert examples.keys[key_of([8, 9, 5, 6])] == 0
    assert examples.keys[key_of([7])] == 3
    assert {split[number]["input_ids"][0] for split, number in examples.records[1:3]} == {5, 6}


def test_token_types_count_where_there_are_some():
    pairs = datasets.Dataset.from_list([{"input_ids": [5, 6], "token_type_ids": kinds} for kinds in ([0, 0], [0, 1], [0, 0])])
    examples = Examples.of([pairs])
    assert len(examples.records) == 2
    assert key_of([5, 6], [0, 1]) in examples.keys
    assert key_of([5, 6]) not in examples.keys


def test_chunks_hold_as_many_as_fit():
    examples = Examples.of([SPLIT])
    assert examples.chunks(4) == [range(1), range(1, 3), range(3, 4)]
    assert examples.chunks(3) == [range(1), range(1, 2), range(2, 3), range(3, 4)]
    assert examples.chunks(1000) == [range(4)]


def test_what_was_written_is_read_with_zeros_for_padding(tmp_path):
    store = Store(tmp_path / "features", Examples.of([SPLIT]))
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0]])
    answer = {"states": torch.randn(4, 4, 3), "pooled": torch.randn(4, 2)}
    store.create(answer, 0)
    store.open(unfinished=True)
    store.write(range(4), mask, answer)
    store.unfinished.rename(store.folder)
    store.open()
    asked = torch.tensor([[1, 0, 0], [1, 1, 0]])
    found = store.read([3, 1], asked)
    assert found.keys() == {"states", "pooled"}
    assert torch.equal(found["pooled"], answer["pooled"][[3, 1]])
    assert torch.equal(found["states"][0, :1], answer["states"][3, :1])
    assert torch.equal(found["states"][1, :2], answer["states"][1, :2])
    assert not found["states"][0, 1:].any()
    assert sorted(path.name for path in store.folder.iterdir()) == ["pooled.npy", "states.tokens.npy"]
