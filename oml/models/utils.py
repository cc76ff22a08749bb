"""
Small changes of checkpoints, all in place: of state dicts (prefixes, heads of criteria, wanted names), and of devices
and types in TorchScript modules.
"""

from collections.abc import Collection
from typing import Any

from oml.errors import check, show_some

# What a training checkpoint holds beside the model: the criterion, under the names that trainers give it.
_CRITERION_PREFIXES = ("criterion.", "speaker_loss.")
# The numbers of the types float16 and float32 in compiled code.
_HALF, _FLOAT = 5, 6


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


def patch_float(module: Any, float_node: Any) -> None:
    """
    Make the casts to float16 that are compiled into a TorchScript module casts to the type of a node, in place.

    Args:
        module: A module of `torch.jit.load` that was not run yet.
        float_node: A constant of its graphs, whose value is the type; see `patch_device_and_float`.

    """
    for graph in _find_graphs(module):
        for node in graph.findAllNodes("aten::to"):
            # The dtype stands behind the input, or behind the input and the device.
            for argument in list(node.inputs())[1:3]:
                if _has_constant(argument.node(), "i") and argument.node().i("value") == _HALF:
                    _replace_constant(graph, node, argument, float_node)


def patch_device(module: Any, device_node: Any) -> None:
    """
    Make the CUDA devices that are compiled into a TorchScript module the device of a node, in place.

    Args:
        module: A module of `torch.jit.load` that was not run yet.
        device_node: A constant of its graphs, whose value is the device; see `patch_device_and_float`.

    """
    for graph in _find_graphs(module):
        for node in graph.findAllNodes("prim::Constant"):
            is_device = _has_constant(node, "s") and node.output().type().kind() == "DeviceObjType"
            if is_device and node.s("value").startswith("cuda"):
                node.copyAttributes(device_node)


def patch_device_and_float(module: Any, device: str = "cuda") -> None:
    """
    Let a TorchScript module that was compiled for CUDA, such as OpenAI's CLIP, run on another device, in place.

    For the CPU, weights and compiled casts become float32, too.

    Args:
        module: A module of `torch.jit.load` that was not run yet, with its weights on the device.
        device: Where it shall run.

    """
    import torch

    graph: Any = torch._C.Graph()
    device_node = graph.create("prim::Constant").s_("value", device)
    device_node.output().setType(torch._C.DeviceObjType.get())
    patch_device(module, device_node)
    if torch.device(device).type == "cpu":
        float_node = graph.create("prim::Constant").i_("value", _FLOAT)
        float_node.output().setType(torch._C.IntType.get())
        patch_float(module, float_node)
        module.float()


def _find_graphs(module: Any) -> list[Any]:
    compiled = [part._c for part in module.modules() if hasattr(part, "_c")]
    return [one._get_method(name).graph for one in compiled for name in one._method_names()]


def _has_constant(node: Any, kind: str) -> bool:
    is_constant = node.kind() == "prim::Constant" and "value" in node.attributeNames()
    return is_constant and node.kindOf("value") == kind


def _replace_constant(graph: Any, node: Any, old: Any, constant: Any) -> None:
    # The old constant stays: the same number may be a size or an index elsewhere.
    new = graph.create("prim::Constant").copyAttributes(constant)
    new.output().setType(old.type())
    new.insertBefore(node)
    node.replaceInputWith(old, new.output())
