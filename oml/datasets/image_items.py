"""Images as items of a dataset: read, cropped, transformed, drawn."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from oml.const import BLACK, INDEX_KEY, INPUT_TENSORS_KEY, TBBox, TBBoxes, TColor
from oml.datasets.file_cache import FileCache
from oml.datasets.items import add_extra_data, check_extra_data, check_position
from oml.datasets.strings import PackedStrings
from oml.datasets.table import check_bboxes
from oml.errors import InvalidInputError, check
from oml.interfaces.datasets import IBaseDataset, IHTMLVisualizableDataset, IVisualizableDataset
from oml.transforms.images.albumentations import get_normalisation_albu
from oml.transforms.images.first_resize import find_first_resize
from oml.transforms.images.utils import TTransforms, get_im_reader_for_transforms, is_called_by_keyword
from oml.utils.html import visualize_image_as_html
from oml.utils.images.images import TImage, TImReader, clip_bbox, draw_bbox
from oml.utils.images.reduced import imread_reduced

if TYPE_CHECKING:
    import pandas as pd

TPath = Path | str
TExtraData = Mapping[str, Any]  # sequences of any type: lists, arrays, tensors, pandas Series


class ImageBaseDataset(IBaseDataset, IVisualizableDataset, IHTMLVisualizableDataset):
    """
    Images by their paths, without labels: all that inference needs.

    Items are `{input_tensors_key: what the transform gives, index_key: position, **values of extra_data}`.

    Args:
        paths: Paths of the files: a list, an array, a pandas Series with any index.
        dataset_root: The folder that relative paths start at.
        bboxes: For each item left, top, right, bottom in pixels of the upright picture, or None for all of it. The
            picture is cropped before the transform; parts of a box outside the picture are left out.
        extra_data: Values to put into the items: sequences of the dataset's length.
        transform: Any callable that takes a PIL image (torchvision's transforms of both versions), or is called as
            `transform(image=array)["image"]` (pipelines of albumentations). None only normalises the picture.
        f_imread: The reader of a file: gives a PIL image or an RGB array. None takes what fits the transform; where
            that begins with a resize to a sixth of a JPEG's size or less, only a fraction of its pixels is decoded.
            Give `oml.utils.images.images.imread_pillow` to decode all of them.
        cache_size: How many files' contents (not decoded) are kept in memory; the reader gets bytes then.
        input_tensors_key: The key of the transformed image in items.
        index_key: The key of the position in items.

    Raises:
        InvalidInputError: lengths do not agree, a box is wrong, the transform cannot be called, or a key is taken.
        TypeError: a path is neither a string nor path-like.

    """

    def __init__(
        self,
        paths: Sequence[TPath] | np.ndarray | pd.Series,
        dataset_root: TPath | None = None,
        bboxes: TBBoxes | np.ndarray | None = None,
        extra_data: TExtraData | None = None,
        transform: TTransforms | None = None,
        f_imread: TImReader | None = None,
        cache_size: int = 0,
        input_tensors_key: str = INPUT_TENSORS_KEY,
        index_key: str = INDEX_KEY,
    ):
        check(input_tensors_key != index_key, f"`input_tensors_key` and `index_key` are both {index_key!r}.")
        if bboxes is not None:
            check(len(bboxes) == len(paths), f"There are {len(paths)} `paths`, but {len(bboxes)} `bboxes`.")
        self._paths = PackedStrings(paths, name="paths")
        self._bboxes = None if bboxes is None else check_bboxes(bboxes)
        self._cache = FileCache(cache_size)
        self._root = os.path.join(os.fspath(dataset_root), "") if dataset_root is not None else ""
        self.transform = get_normalisation_albu() if transform is None else transform
        self.f_imread = get_im_reader_for_transforms(self.transform) if f_imread is None else f_imread
        self._get_size = find_first_resize(self.transform) if f_imread is None else None
        self._is_called_by_keyword = is_called_by_keyword(self.transform)
        self.input_tensors_key = input_tensors_key
        self.index_key = index_key
        self.extra_data = check_extra_data(extra_data, len(paths), [input_tensors_key, index_key])

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, item: int) -> dict[str, Any]:
        """
        Read and transform an image.

        Raises:
            IndexError: there is no such item.
            FileNotFoundError: there is no such file; the message names the item and its path.
            OSError: the file cannot be read as a picture; the message names the item and its path.
            InvalidInputError: the box lies outside the picture.

        """
        position = check_position(item, len(self))
        image = self._read_part(position)
        if self._is_called_by_keyword:
            tensor = self.transform(image=np.asarray(image))["image"]
        else:
            tensor = self.transform(image)
        values = {self.input_tensors_key: tensor, self.index_key: position}
        if self.extra_data:
            add_extra_data(values, position, self.extra_data)
        return values

    def get_path(self, item: int) -> Path:
        """Give the path of the item's file, `dataset_root` included."""
        return Path(self._join_path(item))

    def _join_path(self, item: int) -> str:
        path: str = self._paths[item]  # as text: joining Path objects takes ten times as long
        return path if os.path.isabs(path) else self._root + path

    def visualize(self, item: int, color: TColor = BLACK) -> np.ndarray:
        """Draw the whole picture (H, W, 3), uint8, with a frame at its box, or around it where it has none."""
        position = check_position(item, len(self))
        image = np.array(self._read_image(position))
        box = self._get_bbox(position)
        return draw_bbox(image, (0, 0, image.shape[1], image.shape[0]) if box is None else box, color)

    def visualize_as_html(self, item: int, title: str, color: TColor = BLACK) -> str:
        """Give a block of HTML that holds what `visualize` draws, shrunk if it is large, under the title."""
        return visualize_image_as_html(self.visualize(item, color), title)

    def _get_bbox(self, position: int) -> TBBox | None:
        if self._bboxes is None:
            return None
        left, top, right, bottom = self._bboxes[position].tolist()
        return (left, top, right, bottom) if left < right else None

    def _read_part(self, position: int) -> TImage:
        box = self._get_bbox(position)
        if self._get_size is None:
            return self._crop(self._read_image(position), box, position)
        get_size = self._get_size
        image, box = self._read(position, lambda source: imread_reduced(source, get_size, box))
        return self._crop(image, box, position)

    def _read_image(self, position: int) -> TImage:
        image: TImage = self._read(position, self.f_imread)
        return image

    def _read(self, position: int, read: Callable[[Path | str | bytes], Any]) -> Any:
        path = self._join_path(position)
        try:
            image = read(self._cache.read(path) if self._cache.max_files else path)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"Item {position}: there is no file {path}. Check `dataset_root` and the paths; "
                "`oml.utils.images.images.find_broken_images` lists all missing and broken files."
            ) from error
        except OSError as error:
            raise OSError(_name_broken(position, path, str(error))) from error
        if image is None:  # the way of OpenCV
            raise OSError(_name_broken(position, path, "the reader gave None"))
        return image

    def _crop(self, image: TImage, box: TBBox | None, position: int) -> TImage:
        if box is None:
            return image
        width, height = (image.shape[1], image.shape[0]) if isinstance(image, np.ndarray) else image.size
        left, top, right, bottom = clip_bbox(box, width, height)
        if left == right or top == bottom:
            raise InvalidInputError(
                f"Item {position}: the box {self._get_bbox(position)} (left, top, right, bottom) lies outside the "
                f"picture {self.get_path(position)}, which is {width} wide and {height} high."
            )
        if isinstance(image, np.ndarray):
            return image[top:bottom, left:right]
        return image.crop((left, top, right, bottom))


def _name_broken(position: int, path: str, reason: str) -> str:
    return (
        f"Item {position}: the file {path} cannot be read as a picture: {reason}. Replace it or drop its row; "
        "`oml.utils.images.images.find_broken_images` lists all such files."
    )
