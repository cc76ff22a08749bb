import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from oml.functional.search import search
from oml.functional.search_distributed import search_sharded
from tests.functional.vectors import make_vectors

K = 7
CASES = [
    (kind, metric, sizes)
    for kind, metric in [("random", "l2"), ("integers", "l2"), ("duplicates", "cosine"), ("integers", "ip")]
    for sizes in [(50, 30, 40), (3, 0, 5), (0, 0, 0), (120, 1, 2)]
]


def make_case(kind, sizes):
    generator = torch.Generator().manual_seed(0)
    queries, galleries = (
        make_vectors(kind, 11, 4, generator) + 0.01,
        make_vectors(kind, sum(sizes), 4, generator) + 0.01,
    )
    keys = torch.randint(0, 6, (11,), generator=generator), torch.randint(0, 6, (sum(sizes),), generator=generator)
    return queries, galleries, keys


def search_on_rank(rank, world_size, path):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{path}/store", rank=rank, world_size=world_size)
    answers = []
    for kind, metric, sizes in CASES:
        sizes = sizes[:world_size]
        queries, galleries, keys = make_case(kind, sizes)
        part = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))
        exclude = [(keys[0], keys[1][part])]
        answers.append(tuple(search_sharded(queries, galleries[part], K, metric=metric, exclude=exclude)))
    try:
        search_sharded(torch.zeros(1 + rank, 2), torch.ones(3, 2), K)
        message = ""
    except ValueError as error:
        message = str(error)
    torch.save((answers, message), f"{path}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_equal_one_process(world_size, tmp_path):
    mp.spawn(search_on_rank, (world_size, str(tmp_path)), nprocs=world_size)
    for rank in range(world_size):
        found, message = torch.load(tmp_path / f"{rank}.pt")
        for (kind, metric, sizes), answers in zip(CASES, found, strict=True):
            queries, galleries, keys = make_case(kind, sizes[:world_size])
            expected = search(queries, galleries, K, metric=metric, exclude=[keys])
            assert all(torch.equal(a, b) for a, b in zip(expected, answers, strict=True)), (kind, metric, sizes)
        assert "must search for the same queries" in message
        assert f"got {list(range(1, world_size + 1))} queries" in message


def test_without_processes_it_is_the_search(generator):
    x = torch.randn(20, 4, generator=generator)
    assert all(torch.equal(a, b) for a, b in zip(search(x, x, 3), search_sharded(x, x, 3), strict=True))
