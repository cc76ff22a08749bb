"""From the `weights` argument of an extractor to a filled network: find the file, read it safely, load it strictly."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from oml.errors import InvalidInputError, check, show_some, unknown_name_message
from oml.models.building import build_network, take_tensors
from oml.models.checkpoint_files import read_file
from oml.models.utils import remove_criterion_in_state_dict, remove_prefix_from_state_dict
from oml.utils.io import download_checkpoint_one_of

TStateDict = dict[str, Tensor]
TConvert = Callable[[TStateDict], TStateDict]

BUNDLE_WEIGHTS = "weights.safetensors"  # the file of a bundle, a folder, that holds the weights
# Counters of BatchNorm that nothing reads at inference; files older than PyTorch 0.4.1 do not have them.
_OPTIONAL_SUFFIX = "num_batches_tracked"
# What training programs call the entry that holds the weights.
_STATE_DICT_ENTRIES = ("state_dict", "model")
_MAX_NESTING = 3  # of such entries


def find_weights(weights: str | Path, owner: type[nn.Module]) -> Path:
    """
    Give the file that the `weights` argument of an extractor means; a published checkpoint is downloaded if needed.

    Args:
        weights: A key of the owner's `pretrained_models`, the path of a checkpoint, or the folder of a bundle.
        owner: The extractor's class.

    Raises:
        FileNotFoundError: it is neither a key nor a path; the message names the nearest keys.
        InvalidInputError: it is a folder without weights.
        DownloadError: the checkpoint cannot be downloaded; the message says which file to put where.

    """
    published = getattr(owner, "pretrained_models", {})
    if weights in published:
        entry = published[weights]
        return download_checkpoint_one_of(entry["url"], entry["hash"], entry["fname"])
    path = Path(weights).expanduser()
    if path.is_dir():
        check(
            (path / BUNDLE_WEIGHTS).is_file(),
            f"weights={str(weights)!r} is a folder without {BUNDLE_WEIGHTS}, so it is no bundle; "
            f"give the path of the checkpoint file inside it.",
        )
        return path / BUNDLE_WEIGHTS
    if path.is_file():
        return path
    raise FileNotFoundError(
        f"weights={str(weights)!r} is neither a key of {owner.__name__}.pretrained_models nor an existing file "
        f"(looked for {path.absolute()}). {unknown_name_message('key', weights, list(published))} "
        f"Use a known key, the path of a checkpoint, or None for random weights."
    )


def read_state_dict(path: Path) -> TStateDict:
    """
    Read names and tensors from a checkpoint, on CPU, without running any code that the file may carry.

    Understood: a state dict saved by `torch.save`; a training checkpoint that holds one under `"state_dict"`
    (Lightning) or `"model"`, or as its only dictionary of tensors under any name; a `.safetensors` file; a TorchScript
    archive if it is one of the zoo's by its hash.

    Raises:
        InvalidInputError: the file is cut off, is of another format, needs code to be run, or holds no state dict, or
            several.

    """
    content = _find_state_dict(read_file(path), path)
    check(
        isinstance(content, Mapping) and len(content) > 0,
        f"{path} holds {type(content).__name__} instead of a non-empty dictionary of tensors. "
        f"Save a checkpoint as torch.save({{'state_dict': extractor.state_dict()}}, path).",
    )
    strangers = [name for name, value in content.items() if not isinstance(name, str) or not isinstance(value, Tensor)]
    check(
        not strangers,
        f"{path} holds values that are not tensors under the names: {show_some(strangers)}. "
        f"Save a checkpoint as torch.save({{'state_dict': extractor.state_dict()}}, path).",
    )
    empty = [name for name, value in content.items() if value.is_meta]
    check(not empty, f"{path} holds tensors without numbers, on the device 'meta': {show_some(empty)}. Save it again.")
    return dict(content)


def _find_state_dict(content: Any, path: Path) -> Any:
    for _ in range(_MAX_NESTING):
        if not isinstance(content, Mapping):
            break
        usual = [name for name in _STATE_DICT_ENTRIES if isinstance(content.get(name), Mapping)]
        held = [name for name, value in content.items() if _holds_tensors(value)]
        check(
            bool(usual) or len(held) < 2,
            f"{path} holds several dictionaries of tensors: {show_some(held)}. Save the one to load on its own: "
            f"torch.save(torch.load(path)[{held[0] if held else ''!r}], new_path).",
        )
        if not usual and not held:
            break
        content = content[(usual or held)[0]]
    return content


def _holds_tensors(value: Any) -> bool:
    return isinstance(value, Mapping) and len(value) > 0 and all(isinstance(v, Tensor) for v in value.values())


def load_weights(
    network: nn.Module,
    path: Path,
    trial_key: str,
    convert: TConvert | None = None,
    constructors: Mapping[str, Callable[[], nn.Module]] | None = None,
    select: TConvert | None = None,
) -> None:
    """
    Fill the network from a checkpoint whose names may have a common prefix and follow the published naming.

    Args:
        network: The backbone to fill, in place.
        path: The checkpoint, see `read_state_dict`.
        trial_key: The beginning of a name that each such network has, by which the prefix is found.
        convert: Takes the state dict with published names (or already with the network's own ones) and gives
            it with the network's own names.
        constructors: The architectures to choose from, by which the error says which one would fit.
        select: Takes the whole state dict of the file and gives the part to load, before prefixes are looked for.

    Raises:
        InvalidInputError: names or shapes differ; the first missing, unexpected and misshapen ones are shown.

    """
    state_dict = read_state_dict(path)
    state_dict = remove_criterion_in_state_dict(select(state_dict) if select else state_dict)
    try:
        state_dict = remove_prefix_from_state_dict(state_dict, trial_key)
    except InvalidInputError as error:
        raise InvalidInputError(f"Cannot load {path}. {error}") from error
    state_dict = convert(state_dict) if convert else state_dict
    fill(network, state_dict, path, constructors)


def fill(
    network: nn.Module,
    state_dict: TStateDict,
    path: Path,
    constructors: Mapping[str, Callable[[], nn.Module]] | None = None,
) -> None:
    """
    Make the weights the network's own, in its dtypes, if all names and shapes are the same.

    Args:
        network: What to fill.
        state_dict: Names to tensors.
        path: Where they come from, for the error.
        constructors: The architectures to choose from, by which the error says which one would fit.

    Raises:
        InvalidInputError: names or shapes differ; the first missing, unexpected and misshapen ones are shown.

    """
    difference = describe_difference(state_dict, network)
    if difference:
        suggestion = f" {_suggest_arch(state_dict, constructors)}" if constructors else ""
        raise InvalidInputError(f"The checkpoint {path} does not fit the model. {difference}{suggestion}")
    take_tensors(network, state_dict)


def describe_difference(state_dict: Mapping[str, Tensor], network: nn.Module) -> str:
    """
    Say in words how a state dict differs from the network's own; empty if it fits.

    Example:
        >>> import torch
        >>> describe_difference({"weight": torch.zeros(1, 3), "scale": torch.zeros(1)}, nn.Linear(2, 1))
        'Missing: bias. Unexpected: scale. Other shape: weight is [1, 3] in the file, [1, 2] in the model.'

    """
    own = network.state_dict()
    missing = [n for n in own if n not in state_dict and not n.endswith(_OPTIONAL_SUFFIX)]
    unexpected = [n for n in state_dict if n not in own]
    misshapen = [
        f"{n} is {list(state_dict[n].shape)} in the file, {list(tensor.shape)} in the model"
        for n, tensor in own.items()
        if n in state_dict and state_dict[n].shape != tensor.shape
    ]
    mistyped = [
        f"{n} is {state_dict[n].dtype} in the file, {tensor.dtype} in the model"
        for n, tensor in own.items()
        if n in state_dict and state_dict[n].is_floating_point() != tensor.is_floating_point()
    ]
    parts = {"Missing": missing, "Unexpected": unexpected, "Other shape": misshapen, "Other type": mistyped}
    return " ".join(f"{title}: {show_some(names)}." for title, names in parts.items() if names)


def _suggest_arch(state_dict: TStateDict, constructors: Mapping[str, Callable[[], nn.Module]]) -> str:
    fitting = []
    for arch, constructor in constructors.items():
        network = build_network(constructor, is_filled_later=True)  # only names and shapes matter
        if not describe_difference(state_dict, network):
            fitting.append(repr(arch))
    return f"It fits arch={' or '.join(fitting)}." if fitting else "It fits no known architecture of this extractor."
