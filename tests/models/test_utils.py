import pytest

from oml.errors import InvalidInputError
from oml.models.utils import (
    filter_state_dict,
    find_prefix_in_state_dict,
    remove_criterion_in_state_dict,
    remove_prefix_from_state_dict,
)


@pytest.mark.parametrize("prefix", ["", "model.", "model.model.", "module.extractor."])
def test_prefix_is_found_and_removed(prefix: str) -> None:
    state_dict = {f"{prefix}layer4.0.weight": 1, f"{prefix}conv1.weight": 2}
    assert find_prefix_in_state_dict(state_dict, "layer4.") == prefix
    assert remove_prefix_from_state_dict(state_dict, "layer4.") is state_dict
    assert state_dict == {"layer4.0.weight": 1, "conv1.weight": 2}


def test_order_of_names_is_kept() -> None:
    state_dict = {"m.b": 1, "m.a": 2, "m.c": 3}
    assert list(remove_prefix_from_state_dict(state_dict, "a")) == ["b", "a", "c"]


def test_shortest_prefix_wins() -> None:
    assert find_prefix_in_state_dict({"m.layer1.conv1.weight": 1, "m.conv1.weight": 2}, "conv1.weight") == "m."


def test_a_part_of_a_word_is_no_name() -> None:
    with pytest.raises(InvalidInputError, match=r"No name of the state dict contains 'blocks\.'"):
        find_prefix_in_state_dict({"myblocks.0.weight": 1}, "blocks.")


def test_prefix_of_nothing() -> None:
    with pytest.raises(AssertionError, match="Its names: none"):
        find_prefix_in_state_dict({}, "fc.")


def test_name_without_the_prefix() -> None:
    with pytest.raises(AssertionError, match=r"share the prefix 'model\.', these do not: bank\."):
        find_prefix_in_state_dict({"model.fc.weight": 1, "bank": 2}, "fc.")


def test_criterion_is_removed() -> None:
    state_dict = {"model.fc.weight": 1, "criterion.weight": 2, "criterion.mlp.0.bias": 3, "speaker_loss.weight": 4}
    assert remove_criterion_in_state_dict(state_dict) is state_dict
    assert state_dict == {"model.fc.weight": 1}


def test_needed_names_are_kept() -> None:
    state_dict = {"a": 1, "b": 2}
    assert filter_state_dict(state_dict, {"b", "c"}) is state_dict
    assert state_dict == {"b": 2}
