"""Small changes of state dicts: prefixes, heads of criteria, wanted names. All change the given dictionary in place."""

from collections.abc import Collection
from typing import Any

from oml.errors import check, show_some

# What a training checkpoint holds beside the model: the criterion, under the names that trainers give it.
_CRITERION_PREFIXES = ("criterion.", "speaker_loss.")


def find_prefix_in_state_dict(state_dict: dict[str, Any], trial_key: str) -> str:
    """
    Give what stands before `trial_key` in the names of a state dict, for example `"model.module."`; may be empty.

    Args:
        state_dict: Names to tensors.
        trial_key: A name, or its beginning, that the bare model is known to have.

    Raises:
        InvalidInputError: no name contains the trial key, or some name lacks the prefix.

    Example:
        >>> find_prefix_in_state_dict({"model.fc.weight": 1, "model.fc.bias": 2}, trial_key="fc.")
        'model.'

    """
    # A prefix ends with a dot; the shortest wins, since a trial key such as "conv1" also occurs deeper in a network.
    prefixes = [
        name[:start] for name in state_dict if (start := f".{name}".find(f".{trial_key}")) >= 0 and trial_key in name
    ]
    check(
        bool(prefixes),
        f"No name of the state dict contains {trial_key!r}, so it belongs to another kind of model. "
        f"Its names: {show_some(state_dict) or 'none'}.",
    )
    prefix = min(prefixes, key=len)
    strangers = [name for name in state_dict if not name.startswith(prefix)]
    check(
        not strangers,
        f"The names of the state dict must share the prefix {prefix!r}, these do not: {show_some(strangers)}. "
        f"Remove them from the file, or save only the extractor's state_dict().",
    )
    return prefix


def remove_prefix_from_state_dict(state_dict: dict[str, Any], trial_key: str) -> dict[str, Any]:
    """
    Cut what stands before `trial_key` off every name, and give the same dictionary back.

    Raises:
        InvalidInputError: as `find_prefix_in_state_dict`.

    Example:
        >>> remove_prefix_from_state_dict({"model.fc.weight": 1, "model.fc.bias": 2}, trial_key="fc.")
        {'fc.weight': 1, 'fc.bias': 2}

    """
    prefix = find_prefix_in_state_dict(state_dict, trial_key)
    for name in list(state_dict):
        state_dict[name[len(prefix) :]] = state_dict.pop(name)
    return state_dict


def remove_criterion_in_state_dict(state_dict: dict[str, Any]) -> dict[str, Any]:
    """
    Drop the weights of the criterion that a training checkpoint holds, and give the same dictionary back.

    Example:
        >>> remove_criterion_in_state_dict({"model.fc.weight": 1, "criterion.weight": 2})
        {'model.fc.weight': 1}

    """
    for name in [n for n in state_dict if n.startswith(_CRITERION_PREFIXES)]:
        del state_dict[name]
    return state_dict


def filter_state_dict(state_dict: dict[str, Any], needed_keys: Collection[str]) -> dict[str, Any]:
    """
    Keep only the needed names, and give the same dictionary back.

    Example:
        >>> filter_state_dict({"visual.proj": 1, "textual.proj": 2}, needed_keys={"visual.proj"})
        {'visual.proj': 1}

    """
    for name in [n for n in state_dict if n not in needed_keys]:
        del state_dict[name]
    return state_dict
