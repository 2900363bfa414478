"""Pictures from files, folders, TFDS sets and scikit-image, at the classifier's size.

for item in pictures(["photos/", "cat.jpg", "tfds:mnist/test[:100]"], size=(224, 224, 3)):
    match item:
        case Picture(): ...
        case BadPicture(): ...
"""

from fidojax.data.arrays import ArrayHeader, npz_headers, read_npy, read_npz
from fidojax.data.atomic import write_atomically, write_json, write_text
from fidojax.data.boxes import boxes_of, padded
from fidojax.data.cache_folder import cache_folder
from fidojax.data.fit import IMAGENET_CROP
from fidojax.data.labels import find_classes, true_class
from fidojax.data.picture import BadPicture, Picture
from fidojax.data.places import Place, as_os_error, is_remote, place, read_bytes, remove
from fidojax.data.sources import Pictures, pictures
from fidojax.data.tfds import import_tfds

__all__ = [
    "IMAGENET_CROP",
    "ArrayHeader",
    "BadPicture",
    "Picture",
    "Pictures",
    "Place",
    "as_os_error",
    "boxes_of",
    "cache_folder",
    "find_classes",
    "import_tfds",
    "is_remote",
    "npz_headers",
    "padded",
    "pictures",
    "place",
    "read_bytes",
    "read_npy",
    "read_npz",
    "remove",
    "true_class",
    "write_atomically",
    "write_json",
    "write_text",
]
