"""Data sets to try things on, and the check of one's own; loaded when asked for, so that other tools import cheaply."""

from typing import TYPE_CHECKING

from oml.lazy import load_when_asked

if TYPE_CHECKING:
    from oml.utils.checks.dataset import check_dataset as check_dataset
    from oml.utils.download_mock_dataset import get_mock_audios_dataset as get_mock_audios_dataset
    from oml.utils.download_mock_dataset import get_mock_images_dataset as get_mock_images_dataset
    from oml.utils.download_mock_dataset import get_mock_texts_dataset as get_mock_texts_dataset
    from oml.utils.glyphs import get_glyphs_dataset as get_glyphs_dataset
    from oml.utils.names import get_names_dataset as get_names_dataset
    from oml.utils.speakers import get_speakers_dataset as get_speakers_dataset

__getattr__, __dir__, __all__ = load_when_asked(
    __name__,
    {
        "oml.utils.checks.dataset": ["check_dataset"],
        "oml.utils.download_mock_dataset": [
            "get_mock_audios_dataset",
            "get_mock_images_dataset",
            "get_mock_texts_dataset",
        ],
        "oml.utils.glyphs": ["get_glyphs_dataset"],
        "oml.utils.names": ["get_names_dataset"],
        "oml.utils.speakers": ["get_speakers_dataset"],
    },
)
