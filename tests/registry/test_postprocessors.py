import pytest
import torch

from oml.models import LinearTrivialDistanceSiamese
from oml.registry.postprocessors import POSTPROCESSORS_REGISTRY, get_postprocessor, get_postprocessor_by_cfg
from oml.retrieval import PairwiseReranker, RetrievalResults, ZNorm


def test_documented_names():
    assert {"pairwise_reranker", "constant_thresholding", "adaptive_thresholding"} <= set(POSTPROCESSORS_REGISTRY)


def test_pairwise_models_are_built():
    model = {"name": "linear_siamese", "args": {"feat_dim": 4, "identity_init": True}}
    cfg = {
        "name": "pairwise_reranker",
        "args": {"top_n": 3, "pairwise_model": model, "num_workers": 0, "batch_size": 2},
    }
    reranker = get_postprocessor_by_cfg(cfg)
    assert isinstance(reranker, PairwiseReranker)
    assert isinstance(reranker.model, LinearTrivialDistanceSiamese)
    assert (reranker.top_n, reranker.batch_size) == (3, 2)
    with pytest.raises(TypeError, match=r"'linear_siamese' has no argument 'feat_dims'\. Did you mean 'feat_dim'"):
        get_postprocessor("pairwise_reranker", top_n=3, pairwise_model={**model, "args": {"feat_dims": 4}})


def test_what_only_a_program_knows():
    cohort = torch.zeros(3, 2)
    norm = get_postprocessor_by_cfg({"name": "z_norm"}, cohort=cohort)
    assert isinstance(norm, ZNorm)
    assert norm.cohort is cohort
    rr = RetrievalResults([torch.tensor([0.1, 0.9])], [torch.tensor([0, 1])])
    cut = get_postprocessor_by_cfg({"name": "constant_thresholding", "args": {"th": 0.5}}, cohort=cohort)
    assert cut.process(rr).lengths.tolist() == [1]


def test_unknown_names_and_arguments():
    with pytest.raises(KeyError, match=r"Unknown postprocessor 'k_reciprocals'\. Did you mean 'k_reciprocal'"):
        get_postprocessor("k_reciprocals")
    with pytest.raises(TypeError, match=r"'pairwise_reranker' has no argument 'pairwise_mode'\. Did you mean"):
        get_postprocessor("pairwise_reranker", pairwise_mode=None)
    with pytest.raises(TypeError, match="'z_norm' needs the arguments: cohort"):
        get_postprocessor_by_cfg({"name": "z_norm"})
