"""Find the pictures of several sources and yield them at the classifier's size."""

from collections.abc import Iterator, Sequence

from fidojax.core import printable
from fidojax.data.annotations import Annotations, read_annotations
from fidojax.data.decode import UnreadableError
from fidojax.data.files import Files, Sample
from fidojax.data.picture import BadPicture, Picture
from fidojax.data.places import Place
from fidojax.data.tfds import TfdsSet


class Pictures:
    """The pictures of several sources, decoded one by one during iteration.

    `len` counts pictures and bad pictures alike, without decoding any.
    """

    def __init__(
        self,
        sources: Sequence[Files | Sample | TfdsSet | BadPicture],
        size: tuple[int, int, int],
        crop: float,
    ) -> None:
        self._sources, self._size, self._crop = sources, size, crop

    @property
    def missing(self) -> list[BadPicture]:
        """The sources that could not be opened."""
        return [source for source in self._sources if isinstance(source, BadPicture)]

    @property
    def ignored(self) -> int:
        """The number of files in folders that were left out because they are no pictures."""
        return sum(source.ignored for source in self._sources if isinstance(source, Files))

    def __len__(self) -> int:
        return sum(1 if isinstance(s, BadPicture) else len(s) for s in self._sources)

    def __iter__(self) -> Iterator[Picture | BadPicture]:
        for source in self._sources:
            if isinstance(source, BadPicture):
                yield source
            else:
                yield from source.read(self._size, self._crop)


def pictures(
    sources: Sequence[str | Place],
    size: tuple[int, int, int],
    data_dir: str | Place | None = None,
    *,
    crop: float = 1.0,
    boxes: str | Place | None = None,
) -> Pictures:
    """Find pictures and prepare them for a classifier.

    Args:
        sources: picture files, folders (with their subfolders, in alphabetical order; subfolders
            only are taken for classes, and files that are no pictures are left out), both also
            in an object store (`s3://BUCKET/FOLDER`, `gs://…`, `az://…`),
            `tfds:NAME[/CONFIG][:VERSION][/SPLIT][[START:STOP]]` or `skimage:NAME`.
        size: height, width and channels (1 or 3) that the classifier takes.
        data_dir: the folder of prepared TFDS sets, or its address in an object store, from where
            the set is copied to the user's cache; TFDS's own default when None.
        crop: share of the shorter side that the centre crop keeps, in (0, 1]; `IMAGENET_CROP` for
            ImageNet classifiers (256 to 224).
        boxes: a table of the object boxes, and perhaps the labels, of picture files: a CSV with the
            columns file, x0, y0, x1, y1 (and label) in pixels, ImageNet's LOC_*_solution.csv, or
            COCO's JSON.

    Returns:
        An iterable of `Picture`, and of `BadPicture` with the reason for each source or file that
        cannot be used. A bad file does not stop the iteration.

    Raises:
        ValueError: `crop` or the channels of `size` are out of range, or the table of boxes is
            damaged, or names none of the pictures.
        FileNotFoundError: there is no table of boxes.
    """
    if not 0 < crop <= 1:
        raise ValueError(f"crop is {crop}, expected a share in (0, 1]")
    if size[2] not in (1, 3):
        raise ValueError(f"size has {size[2]} channels, expected 1 or 3")
    annotations = None if boxes is None else read_annotations(boxes)
    found = [_open(source, data_dir, annotations) for source in sources]
    if annotations is not None and not any(_uses(source) for source in found):
        first = next(iter(annotations.pictures), None)
        raise ValueError(f"boxes {boxes}: it names none of the pictures; its first is {first!r}")
    return Pictures(found, size, crop)


def _open(
    source: str | Place, data_dir: str | Place | None, annotations: Annotations | None
) -> Files | Sample | TfdsSet | BadPicture:
    try:
        match str(source).partition(":"):
            case ("tfds", _, address):
                return TfdsSet.find(address, data_dir)
            case ("skimage", _, name):
                return Sample.find(name)
            case _:
                return Files.find(source, annotations)
    except UnreadableError as error:
        return BadPicture(printable(source), str(error))


def _uses(source: Files | Sample | TfdsSet | BadPicture) -> bool:
    """Whether a source has pictures in the table of boxes, or a reason of its own to fail."""
    return isinstance(source, BadPicture) or (
        isinstance(source, Files) and bool(source.annotations)
    )
