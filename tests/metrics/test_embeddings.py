from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.utils.data import DataLoader

from oml.errors import InvalidInputError
from oml.interfaces.retrieval import IRetrievalPostprocessor
from oml.metrics import (
    EmbeddingMetrics,
    calc_fnmr_at_fmr_rr,
    calc_retrieval_metrics_rr,
    calc_topological_metrics,
)
from oml.retrieval import RetrievalResults
from tests.retrieval.datasets import LabelledSplit, PicturedSplit

N = 40
QUERIES, GALLERIES = list(range(25)), list(range(15, N))
CUT_OFFS = {"cmc_top_k": (1, 3), "precision_top_k": (5,), "map_top_k": (2, 100)}


def make_dataset(kind=LabelledSplit, categories=False):
    dataset = kind(np.arange(N) % 7, QUERIES, GALLERIES, sequences=(np.arange(N) // 3).tolist())
    if categories:
        dataset.extra_data["category"] = np.array(["cat", "dog"])[np.arange(N) % 7 % 2]
    return dataset


@pytest.fixture
def embeddings(generator):
    return torch.randn(N, 3, generator=generator)


def run(metric, embeddings, order=None, batch_size=7):
    metric.setup()
    for ids in DataLoader(range(len(embeddings)) if order is None else order, batch_size):
        metric.update(embeddings[ids], ids)
    return metric.compute_metrics()


def assert_equal(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["list", "array", "tensor"])
def test_keys_and_values(embeddings, kind):
    dataset = make_dataset(categories=True)
    if kind == "list":
        dataset.extra_data["category"] = dataset.extra_data["category"].tolist()
    if kind == "tensor":
        dataset.extra_data["category"] = torch.arange(N) % 7 % 2
    metric = EmbeddingMetrics(dataset, **CUT_OFFS, pcf_variance=(0.5, 1.0))
    found = run(metric, embeddings)
    categories = dataset.extra_data["category"]
    names = categories.tolist() if kind != "list" else categories
    rr = RetrievalResults.from_embeddings(embeddings, dataset, 100)
    expected = calc_retrieval_metrics_rr(rr, names[: len(QUERIES)], *CUT_OFFS.values())
    topology = calc_topological_metrics(embeddings, (0.5, 1.0), names)
    assert set(found) == {"OVERALL", *names}
    for category, of_category in found.items():
        assert list(of_category) == ["cmc", "precision", "map", "pcf"]
        assert_equal(of_category, expected[category] | topology[category])
    assert metric.acc.collected_samples == N
    assert metric.metrics is found


def test_order_and_epochs_do_not_matter(embeddings, generator):
    metric = EmbeddingMetrics(make_dataset(), **CUT_OFFS)
    first = run(metric, embeddings)
    for _ in range(2):
        order = torch.randperm(N, generator=generator).tolist()
        assert_equal(run(metric, embeddings, order, batch_size=11), first)
    assert len(metric.retrieval_results.distances) == len(QUERIES)


def test_duplicates_are_dropped(embeddings):
    metric = EmbeddingMetrics(make_dataset(), **CUT_OFFS)
    expected = run(metric, embeddings)
    metric.setup(num_samples=N + 3)
    ids = torch.tensor([*range(N), 5, 0, 5])
    metric.update_data({"embeddings": embeddings[ids], "else": None}, ids.tolist())
    assert_equal(metric.compute_metrics(), expected)


def test_switched_off_and_overall_only(embeddings):
    settings = {"cmc_top_k": (), "precision_top_k": (1,), "map_top_k": (), "pcf_variance": ()}
    metric = EmbeddingMetrics(make_dataset(categories=True), **settings, return_only_overall_category=True)
    found = run(metric, embeddings)
    assert list(found) == ["OVERALL"]
    assert {name: list(values) for name, values in found["OVERALL"].items()} == {"precision": [1]}


def test_a_category_without_queries(embeddings):
    dataset = make_dataset()
    dataset.extra_data["category"] = ["a"] * len(QUERIES) + ["b"] * (N - len(QUERIES))
    found = run(EmbeddingMetrics(dataset, **CUT_OFFS), embeddings)
    assert list(found["b"]) == ["pcf"]
    assert_equal(found["a"]["cmc"], found["OVERALL"]["cmc"])


class Plain(IRetrievalPostprocessor):
    """Keeps the first `n` answers; remembers what it was given."""

    def __init__(self, n=1):
        self.n, self.seen = n, {}

    def cut(self, rr, **seen):
        self.seen = {"n_answers": rr.n_retrieved_items, **seen}
        return RetrievalResults([d[: self.n] for d in rr.distances], [i[: self.n] for i in rr.retrieved_ids], rr.gt_ids)

    def process(self, rr):
        return self.cut(rr)


class WithDataset(Plain):
    top_n = 4

    def process(self, rr, dataset):
        return self.cut(rr, dataset=dataset)


class WithEmbeddings(Plain):
    def process(self, rr, dataset=None, embeddings=None):
        return self.cut(rr, dataset=dataset, embeddings=embeddings)


def test_postprocessor_gets_what_it_takes(embeddings):
    dataset = make_dataset()
    expected = run(EmbeddingMetrics(dataset, cmc_top_k=(1,), precision_top_k=(), map_top_k=()), embeddings)
    for postprocessor in (Plain(), WithDataset(), WithEmbeddings()):
        metric = EmbeddingMetrics(dataset, (5,), (), (), postprocessor=postprocessor)
        found = run(metric, embeddings)
        assert found["OVERALL"]["cmc"][5] == expected["OVERALL"]["cmc"][1]
        assert metric.retrieval_results.n_retrieved_items == 1
        n_answers = 5 if isinstance(postprocessor, WithDataset) else len(GALLERIES)
        assert postprocessor.seen["n_answers"] == pytest.approx(n_answers, abs=3)  # less those of the sequence
        assert postprocessor.seen.get("dataset", dataset) is dataset
        assert ("embeddings" in postprocessor.seen) == isinstance(postprocessor, WithEmbeddings)
        assert ("dataset" in postprocessor.seen) == (type(postprocessor) is not Plain)


def test_half_precision(embeddings):
    metric = EmbeddingMetrics(make_dataset(), **CUT_OFFS)
    assert_equal(run(metric, embeddings.half()), run(metric, embeddings.half().float()))


@pytest.mark.parametrize(
    ("labels", "queries", "galleries", "cmc"),
    [([3], [0], [0], 1.0), ([3, 3], [0], [0, 1], 1.0), ([3, 3, 4], [0], [1, 2], 1.0), ([3, 4, 4], [0, 1], [2], 0.5)],
)
@pytest.mark.filterwarnings("ignore:Some of the queries don't have available gts")
def test_smallest_sizes(labels, queries, galleries, cmc):
    metric = EmbeddingMetrics(LabelledSplit(labels, queries, galleries), (1,), (1,), (1,))
    assert run(metric, torch.eye(len(labels)))["OVERALL"]["cmc"][1] == cmc


def test_no_galleries():
    metric = EmbeddingMetrics(LabelledSplit([3, 4], [0, 1], []))
    metric.dataset.gallery_ids = torch.empty(0, dtype=torch.int64)
    with pytest.warns(UserWarning, match="don't have available gts"):
        found = run(metric, torch.eye(2))
    assert found["OVERALL"]["map"][5] == 1  # nothing was to be found, and nothing was


def test_labels_as_tensor_and_no_extra_data(embeddings):
    expected = run(EmbeddingMetrics(LabelledSplit(np.arange(N) % 7, QUERIES, GALLERIES)), embeddings)
    dataset = LabelledSplit(np.arange(N) % 7, QUERIES, GALLERIES)
    dataset.labels = torch.arange(N) % 7
    del dataset.extra_data
    assert_equal(run(EmbeddingMetrics(dataset), embeddings), expected)


def test_logs_and_never_prints(embeddings, capsys, caplog):
    with caplog.at_level("INFO", logger="oml"):
        run(EmbeddingMetrics(make_dataset(), verbose=False), embeddings)
        assert caplog.text == ""
        run(EmbeddingMetrics(make_dataset()), embeddings)
    assert "'OVERALL': {'cmc': {5: tensor(" in caplog.text
    assert capsys.readouterr().out == ""


def test_worst_queries(embeddings):
    metric = EmbeddingMetrics(make_dataset(categories=True), **CUT_OFFS)
    run(metric, embeddings)
    values = metric.metrics_unreduced["OVERALL"]["map"][2]
    expected = sorted(range(len(QUERIES)), key=lambda i: (values[i].item(), i))
    assert metric.get_worst_queries_ids("OVERALL/map/2", 6) == expected[:6]
    of_dogs = [i for i in expected if i % 7 % 2]
    assert metric.get_worst_queries_ids("dog/map/2", 100) == of_dogs
    with pytest.raises(InvalidInputError, match=r"Unknown metric with values per query .OVERALL.map.3."):
        metric.get_worst_queries_ids("OVERALL/map/3", 1)
    with pytest.raises(InvalidInputError, match=r"'OVERALL/pcf/0\.5'"):
        metric.get_worst_queries_ids("OVERALL/pcf/0.5", 1)
    with pytest.raises(InvalidInputError, match="`n_queries` must not be negative, got -1"):
        metric.get_worst_queries_ids("OVERALL/map/2", -1)


@pytest.mark.parametrize(
    ("settings", "titles"),
    [
        ({}, ["OVERALL_cmc_1", "OVERALL_map_5"]),
        ({"metrics_to_exclude_from_visualization": ("cmc",)}, ["OVERALL_map_5"]),
        (
            {"visualize_only_overall_category": False},
            [f"{c}_{m}" for c in ("OVERALL", "cat", "dog") for m in ("cmc_1", "map_5")],
        ),
    ],
)
def test_figures(embeddings, settings, titles):
    import matplotlib.pyplot as plt

    dataset = make_dataset(PicturedSplit, categories=True)
    metric = EmbeddingMetrics(dataset, (1,), (), (5,), **settings)
    assert metric.metrics_to_exclude_from_visualization[:2] == ["fnmr@fmr", "pcf"]
    assert metric.ready_to_visualize()
    with pytest.raises(AssertionError, match="call `compute_metrics` first"):
        metric.get_plot_for_queries([0], 1)
    run(metric, embeddings)
    figures, found = metric.visualize()
    assert found == [f"top 5 worst by {title}" for title in titles]
    worst = metric.get_worst_queries_ids("OVERALL/map/5", 5)
    drawn = {item for item, color in dataset.drawn if color == (0, 0, 255)}
    assert {QUERIES[i] for i in worst} <= drawn
    for figure in figures:
        plt.close(figure)


def test_not_ready_to_visualize():
    assert not EmbeddingMetrics(make_dataset()).ready_to_visualize()
    assert not EmbeddingMetrics(None).ready_to_visualize()


@pytest.mark.filterwarnings("ignore:`fmr_vals` makes EmbeddingMetrics")
def test_fnmr_over_all_pairs_without_all_answers(embeddings):
    dataset = make_dataset(categories=True)
    metric = EmbeddingMetrics(dataset, (1,), (), (), fmr_vals=(0.1, 0.5))
    found = run(metric, embeddings)
    everything = RetrievalResults.from_embeddings(embeddings, dataset, len(GALLERIES))
    assert_equal({"fnmr@fmr": found["OVERALL"]["fnmr@fmr"]}, calc_fnmr_at_fmr_rr(everything, (0.1, 0.5)))
    assert [name for name, values in found.items() if "fnmr@fmr" in values] == ["OVERALL"]
    assert metric.retrieval_results.n_retrieved_items == 1

    class Halving(Plain):
        top_n = 1

        def process(self, rr):
            return RetrievalResults([d * 0.5 for d in rr.distances], list(rr.retrieved_ids), rr.gt_ids)

    metric = EmbeddingMetrics(dataset, (1,), (), (), fmr_vals=(0.1, 0.5), postprocessor=Halving())
    assert_equal(run(metric, embeddings)["OVERALL"]["fnmr@fmr"], found["OVERALL"]["fnmr@fmr"])
    assert metric.retrieval_results.n_retrieved_items > 20


@pytest.mark.filterwarnings("ignore:`fmr_vals` makes EmbeddingMetrics")
def test_fnmr_without_pairs_of_both_kinds():
    metric = EmbeddingMetrics(LabelledSplit([3, 3], [0, 1], [0, 1]), fmr_vals=(0.1,))
    with pytest.raises(ValueError, match="pairs that match and pairs that do not, got 1 and 0"):
        run(metric, torch.eye(2))


def test_fmr_vals_are_warned_about():
    with pytest.warns(UserWarning, match="compare every query with every gallery"):
        EmbeddingMetrics(make_dataset(), fmr_vals=(0.1,))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cmc_top_k": (0,)}, "one or more positive integers, got"),
        ({"map_top_k": (1.5,)}, "one or more positive integers, got"),
        ({"pcf_variance": (2,)}, "`pcf_variance` must be one or more numbers from 0 to 1"),
        ({"fmr_vals": (-1,)}, "`fmr_vals` must be one or more numbers from 0 to 1"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        EmbeddingMetrics(make_dataset(), **settings)


def test_bad_data(embeddings):
    metric = EmbeddingMetrics(make_dataset())
    with pytest.raises(ValueError, match="call `refresh` first"):
        metric.update(embeddings, range(N))
    metric.setup()
    metric.update(embeddings[:30], range(30))
    with pytest.raises(ValueError, match="30 of 40 items have come"):
        metric.compute_metrics()
    metric.setup(30)
    metric.update(embeddings[:30], range(30))
    with pytest.raises(ValueError, match=r"10 of the 40 items of the dataset .* 30, 31, 32, 33, 34 .and 5 more"):
        metric.compute_metrics()
    metric.setup()
    metric.update(embeddings, range(1, N + 1))
    with pytest.raises(ValueError, match="positions in the dataset of 40 items, got 40"):
        metric.compute_metrics()
    embeddings[3] = torch.nan
    with pytest.raises(ValueError, match="rows 3"):
        run(metric, embeddings)


def test_no_dataset():
    metric = EmbeddingMetrics(None)
    with pytest.raises(InvalidInputError, match="has no dataset to measure with"):
        metric.setup()


def _run_in_group(rank, world_size, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=world_size)
    try:
        embeddings, expected = torch.load(f"{folder}/expected.pt")
        metric = EmbeddingMetrics(make_dataset(categories=True), **CUT_OFFS)
        for size in (N // world_size, N // world_size + 2):  # as many as needed; then some of the other's too
            metric.setup(None if size * world_size == N else size)
            for ids in torch.arange(N).roll(rank * size)[:size].split(7):
                metric.update(embeddings[ids], ids)
            assert_equal(metric.compute_metrics(), expected)
        Path(folder, f"done_{rank}").touch()
    finally:
        dist.destroy_process_group()


@pytest.mark.slow
def test_group_of_processes_equals_one(embeddings, tmp_path):
    expected = run(EmbeddingMetrics(make_dataset(categories=True), **CUT_OFFS), embeddings)
    torch.save((embeddings, expected), tmp_path / "expected.pt")
    mp.spawn(_run_in_group, args=(2, str(tmp_path)), nprocs=2)
    assert len(list(tmp_path.glob("done_*"))) == 2
