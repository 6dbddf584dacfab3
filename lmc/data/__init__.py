"""Data sets as whole tensors, normalised, ready to be moved to a device. Importing this loads no torch."""

from lmc.data.access import Listed, default_data_dir, list_data, load, on_disk, resolve
from lmc.data.catalog import dataset_info, list_datasets
from lmc.data.dataset import Dataset, DatasetInfo
from lmc.data.folder import folders
from lmc.data.points import plane, plane_extent
from lmc.data.subset import balanced_subset

__all__ = [
    "Dataset",
    "DatasetInfo",
    "Listed",
    "balanced_subset",
    "dataset_info",
    "default_data_dir",
    "folders",
    "list_data",
    "list_datasets",
    "load",
    "on_disk",
    "plane",
    "plane_extent",
    "resolve",
]
