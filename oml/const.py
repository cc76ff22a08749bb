"""
Names and values shared by the whole package: column names, batch keys, folders, colours, normalisation statistics.

One legend of shapes for all docstrings: `B` batch, `D` features, `N` dataset, `Q` queries, `G` galleries,
`K` answers kept, `T` triplets, `C` classes or channels, `H W` image.
"""

import os
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

if TYPE_CHECKING:
    from omegaconf import DictConfig


def get_cache_folder() -> Path:
    """
    Give the folder where generated and downloaded files are kept: the operating system's cache folder plus `oml`.

    Raises:
        ValueError: the operating system is not Linux, macOS or Windows.

    """
    system = platform.system()
    if system == "Linux":
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "oml"
    if system == "Darwin":
        return Path.home() / "Library" / "Caches" / "oml"
    if system == "Windows":
        return Path.home() / ".cache" / "oml"
    raise ValueError(f"No cache folder is known for the platform {system!r}: expected Linux, Darwin or Windows.")


TCfg = Union[dict[str, Any], "DictConfig"]
TColor = tuple[int, int, int]
TNormParam = tuple[float, ...]
TBBox = tuple[int, int, int, int]  # left, top, right, bottom, in pixels
TBBoxes = Sequence[TBBox | None]

OML_PATH = Path(__file__).parent
PROJECT_ROOT = OML_PATH.parent
CACHE_PATH = get_cache_folder()
TMP_PATH = Path(tempfile.gettempdir())
DOTENV_PATH = PROJECT_ROOT / ".env"
CONFIGS_PATH = OML_PATH / "configs"
CKPT_SAVE_ROOT = CACHE_PATH / "torch" / "checkpoints"

LOG_IMAGE_FOLDER = "image_logs"
LOG_TOPK_ROWS_PER_METRIC = 5
LOG_TOPK_IMAGES_PER_ROW = 5
N_GT_SHOW_EMBEDDING_METRICS = 2

STORAGE_URL = "https://oml.daloroserver.com"
STORAGE_CKPTS = f"{STORAGE_URL}/download/checkpoints"
REQUESTS_TIMEOUT = 120.0  # seconds

MOCK_DATASET_PATH = CACHE_PATH / "mock_dataset"
MOCK_DATASET_DEFAULT_CSV = "df.csv"
MOCK_AUDIO_DATASET_PATH = CACHE_PATH / "mock_audio_dataset"
# The mock sets are generated, not downloaded: the names below are kept for scripts that import them.
MOCK_DATASET_URL_GDRIVE: str | None = None
MOCK_DATASET_MD5 = "a23478efd4746d18f937fa6c5758c0ed"
MOCK_AUDIO_DATASET_URL_GDRIVE: str | None = None
MOCK_AUDIO_DATASET_MD5 = "45629afad9ff28f9148f3ea60f659d18"
GLYPHS_DATASET_PATH = CACHE_PATH / "glyphs_dataset"
NAMES_DATASET_PATH = CACHE_PATH / "names_dataset"
SPEAKERS_DATASET_PATH = CACHE_PATH / "speakers_dataset"

RED: TColor = (255, 0, 0)
GREEN: TColor = (0, 255, 0)
BLUE: TColor = (0, 0, 255)
GRAY: TColor = (120, 120, 120)
BLACK: TColor = (0, 0, 0)
PAD_COLOR: TColor = (255, 255, 255)

BS_KNN = 5000  # queries in a block of the exact search

MEAN: TNormParam = (0.485, 0.456, 0.406)
STD: TNormParam = (0.229, 0.224, 0.225)
MEAN_CLIP: TNormParam = (0.48145466, 0.4578275, 0.40821073)
STD_CLIP: TNormParam = (0.26862954, 0.26130258, 0.27577711)

CROP_KEY = "crop"

LABELS_COLUMN = "label"
SPLIT_COLUMN = "split"
IS_QUERY_COLUMN = "is_query"
IS_GALLERY_COLUMN = "is_gallery"
CATEGORIES_COLUMN = "category"
SEQUENCE_COLUMN = "sequence"
TEXTS_COLUMN = "text"
PATHS_COLUMN = "path"
X1_COLUMN = "x_1"
X2_COLUMN = "x_2"
Y1_COLUMN = "y_1"
Y2_COLUMN = "y_2"
START_TIME_COLUMN = "start_time"
OBLIGATORY_COLUMNS = [LABELS_COLUMN, SPLIT_COLUMN, IS_QUERY_COLUMN, IS_GALLERY_COLUMN]
BBOXES_COLUMNS = [X1_COLUMN, X2_COLUMN, Y1_COLUMN, Y2_COLUMN]

OVERALL_CATEGORIES_KEY = "OVERALL"
INPUT_TENSORS_KEY = "input_tensors"
LABELS_KEY = "labels"
EMBEDDINGS_KEY = "embeddings"
INDEX_KEY = "idx"
INPUT_TENSORS_KEY_1 = "input_tensors_1"
INPUT_TENSORS_KEY_2 = "input_tensors_2"

IMAGE_EXTENSIONS = ["jpg", "jpeg", "JPG", "JPEG", "png"]
AUDIO_EXTENSIONS = [".mp3", ".wav", ".ogg", ".flac"]

MAX_AUDIO_LEN = 3.0  # seconds
DEFAULT_SAMPLE_RATE = 16000  # hertz
DEFAULT_CONVERT_TO_MONO = True

HYDRA_BEHAVIOUR = "1.1"
