import subprocess
import sys

import numpy as np
import pytest
import torch

from oml.functional import search as search_module
from oml.functional import search_task as task_module
from oml.functional.search import search
from oml.functional.search_plan import Plan
from tests.functional.vectors import KINDS, make_vectors


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_threads_do_not_change_the_answers(kind, n_threads, generator, monkeypatch):
    queries, galleries = make_vectors(kind, 700, 4, generator), make_vectors(kind, 300, 4, generator)
    expected = search(queries, galleries, k=6)
    monkeypatch.setattr(search_module, "get_n_workers", lambda *_: n_threads)
    monkeypatch.setattr(task_module, "make_plan", lambda *_: Plan(64, 128, 50, depth=2))
    n_before, done = torch.get_num_threads(), []
    answers = search(queries, galleries, k=6, on_progress=done.append)
    assert all(torch.equal(a, b) for a, b in zip(expected, answers, strict=True))
    assert torch.get_num_threads() == n_before
    assert sum(done) == 700


def test_errors_in_threads_come_out(generator, monkeypatch):
    monkeypatch.setattr(search_module, "get_n_workers", lambda *_: 2)
    monkeypatch.setattr(task_module, "calc_values", lambda *_: 1 / 0)
    x = torch.randn(2000, 4, generator=generator)
    with pytest.raises(ZeroDivisionError):
        search(x, x, k=6)


def test_the_first_error_in_a_thread_comes_out(generator, monkeypatch):
    monkeypatch.setattr(search_module, "get_n_workers", lambda *_: 2)
    monkeypatch.setattr(task_module, "Candidates", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        search(torch.randn(2000, 4, generator=generator), torch.randn(2000, 4, generator=generator), k=6)


@pytest.mark.slow
def test_memory_mapped_gallery_within_the_budget(tmp_path):
    """Tracked by what the process holds of its own, which pages of mapped files are not part of."""
    n, budget = 200_000, 60 * 2**20
    galleries = np.memmap(tmp_path / "galleries", dtype=np.float32, mode="w+", shape=(n, 128))
    generator = np.random.default_rng(0)
    for start in range(0, n, 20_000):
        galleries[start : start + 20_000] = generator.standard_normal((20_000, 128), np.float32)
    galleries.flush()
    script = (
        "import sys, resource, numpy as np, torch\n"
        "from oml.functional.search import search\n"
        "x = np.memmap(sys.argv[1], dtype=np.float32, mode='r', shape=(200_000, 128))\n"
        "search(torch.randn(600, 128), torch.randn(600, 128), 10)\n"
        "queries = torch.from_numpy(np.array(x[:1000]))\n"
        "own = lambda: int(open('/proc/self/status').read().split('RssAnon:')[1].split()[0]) * 1024\n"
        "before, peak = own(), []\n"
        "answers = search(queries, x, 10, max_memory=int(sys.argv[2]), max_query_block=64,\n"
        "    on_progress=lambda _: peak.append(own()))\n"
        "assert answers.ids[:, 0].tolist() == list(range(1000)), answers.ids[:5]\n"
        "print(max(peak) - before)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "galleries"), str(budget)]
    grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert grown < budget
