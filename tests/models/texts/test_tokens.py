import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oml.errors import InvalidInputError
from oml.models.texts.tokens import POOLINGS, pool_tokens, read_tokens


@given(
    rows=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=5),
    extra=st.integers(0, 3),
)
def test_padding_goes_behind_the_tokens_and_what_all_have_is_cut_off(rows, extra):
    length = max(before + n for before, n in rows) + extra
    ids, mask = torch.zeros(len(rows), length, dtype=torch.long), torch.zeros(len(rows), length, dtype=torch.long)
    for row, (before, n) in enumerate(rows):
        ids[row, before : before + n] = torch.arange(1, n + 1)
        mask[row, before : before + n] = 1
    tokens = read_tokens({"input_ids": ids, "attention_mask": mask}, "it")
    longest = max(n for _, n in rows)
    assert tokens.ids.shape == tokens.mask.shape == (len(rows), min(length, max(1, longest)))
    for row, (_, n) in enumerate(rows):
        assert tokens.ids[row].tolist()[:n] == list(range(1, n + 1))
        assert tokens.mask[row].tolist()[:n] == [1] * n
        assert not tokens.mask[row, n:].any()


def test_gaps_stay_where_they_are():
    mask = torch.tensor([[0, 1, 0, 1, 0], [0, 1, 0, 0, 0]])
    tokens = read_tokens({"input_ids": torch.arange(10).view(2, 5), "attention_mask": mask}, "it")
    assert tokens.ids.tolist() == [[1, 2, 3], [6, 7, 8]]
    assert tokens.mask.tolist() == [[1, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (1, 1)])
def test_sizes(shape):
    assert read_tokens({"input_ids": torch.ones(shape, dtype=torch.long)}, "it").ids.shape == shape


def test_errors():
    ids = torch.ones(2, 3, dtype=torch.long)
    with pytest.raises(InvalidInputError, match=r"^it takes what a tokenizer gives.*got Tensor.*return_tensors='pt'"):
        read_tokens(ids, "it")
    with pytest.raises(InvalidInputError, match=r"got keys \['ids'\]"):
        read_tokens({"ids": ids}, "it")
    with pytest.raises(InvalidInputError, match=r"must be a tensor \(B, L\), got the shape \(3,\)"):
        read_tokens({"input_ids": ids[0]}, "it")
    with pytest.raises(InvalidInputError, match=r"must be a tensor \(B, L\), got list"):
        read_tokens({"input_ids": [[1]]}, "it")
    with pytest.raises(InvalidInputError, match=r"of the shape of `input_ids`, \(2, 3\), got the shape \(2, 2\)"):
        read_tokens({"input_ids": ids, "attention_mask": ids[:, :2]}, "it")


def pool_plainly(states, mask, pooling):
    pooled = []
    for vectors, kept in zip(states, mask, strict=True):
        rows = [vector for vector, is_token in zip(vectors, kept, strict=True) if is_token]
        chosen = {"cls": rows[:1], "mean": rows, "last_token": rows[-1:]}[pooling]
        pooled.append(sum(chosen) / len(chosen) if chosen else torch.zeros(states.shape[2]))
    return torch.stack(pooled)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("mask_dtype", [torch.long, torch.bool, torch.float32])
def test_pooling_is_the_plain_one(pooling, dtype, mask_dtype, generator):
    states = torch.randn(5, 5, 3, generator=generator)
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 0, 1, 0, 0], [0] * 5, [1] * 5, [1, 0, 0, 0, 0]])
    pooled = pool_tokens(states.to(dtype), mask.to(mask_dtype), pooling)
    assert pooled.dtype == dtype
    expected = pool_plainly(states, mask, pooling)
    torch.testing.assert_close(pooled.float(), expected, rtol=0, atol=1e-6 if dtype == torch.float32 else 2e-2)


def test_means_of_half_precision_do_not_overflow():
    states = torch.full((1, 100, 2), 3e4, dtype=torch.float16)
    pooled = pool_tokens(states, torch.ones(1, 100), "mean")
    torch.testing.assert_close(pooled.float(), torch.full((1, 2), 3e4), rtol=2e-3, atol=0)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_export_keeps_sizes_free(pooling, generator):
    class Pool(torch.nn.Module):
        def forward(self, batch, states):
            tokens = read_tokens(batch, "it")
            return pool_tokens(states + tokens.ids[..., None], tokens.mask, pooling)

    def make(n_texts, length):
        mask = (torch.rand(n_texts, length, generator=generator) > 0.3).long()
        mask[:, -1] = 1  # nothing would be cut off
        mask[:, 0] = 1
        ids = torch.arange(n_texts * length).view(n_texts, length)
        return {"input_ids": ids, "attention_mask": mask}, torch.randn(n_texts, length, 3, generator=generator)

    sizes = {0: torch.export.Dim("B"), 1: torch.export.Dim("L")}
    dynamic = ({"input_ids": sizes, "attention_mask": sizes}, sizes)
    exported = torch.export.export(Pool(), make(3, 5), dynamic_shapes=dynamic).module()
    other = make(4, 7)
    assert torch.equal(exported(*other), Pool()(*other))
