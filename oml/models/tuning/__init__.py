"""Tuning of extractors with less memory or fewer weights: functions that work on any of them."""

from oml.lazy import load_when_asked

__getattr__, __dir__, __all__ = load_when_asked(
    __name__,
    {
        "oml.models.tuning.adapter": ["AdaptedExtractor", "LinearAdapter"],
        "oml.models.tuning.checkpointing": ["set_gradient_checkpointing"],
        "oml.models.tuning.layer_decay": ["get_layer_decay_groups"],
        "oml.models.tuning.lora": ["add_lora", "get_lora_state_dict", "merge_lora"],
    },
)
