"""One rank gathers its own rows; two gather unlike numbers of them in the order of the ranks."""

import torch
import torch.distributed as dist
from torch import multiprocessing

from job.workers.collectives import gather_rows
from tests.support.training import OneRank


def test_one_rank():
    rows = torch.ones(3, 2, requires_grad=True)
    gathered, mine = gather_rows(OneRank(), rows)
    assert gathered.shape == (3, 2)
    assert not gathered.requires_grad
    assert mine == slice(0, 3)


def two_ranks(rank, path):
    dist.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=2)
    rows = torch.full((rank * 2 + 1, 2), float(rank))
    gathered, mine = gather_rows(OneRank(rank, 2), rows)
    assert gathered[:, 0].tolist() == [0.0, 1.0, 1.0, 1.0]
    assert torch.equal(gathered[mine], rows)
    dist.destroy_process_group()


def test_two_ranks_with_unlike_numbers(tmp_path):
    multiprocessing.start_processes(two_ranks, args=(str(tmp_path / "store"),), nprocs=2, start_method="fork")
