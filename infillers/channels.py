"""The channels of an image against those that an infiller has."""

from jaxtyping import Array, Float

from fidojax.types import Image


def check_channels(image: Image, channels: int, whose: str, instead: str) -> None:
    """Raise ValueError unless the image has these channels, or one, as grey pictures have.

    Args:
        channels: the number that the infiller has.
        whose: what of the infiller has that number, for the message.
        instead: what to write for other images, for the message.
    """
    count = image.shape[-1]
    if count not in (1, channels):
        kinds = f"{channels} channels" if channels > 1 else 'one, grey pictures "h w 1"'
        raise ValueError(f"image has {count} channels, but {whose} has {kinds}: {instead}")


def in_channels(drawn: Image, channels: int) -> Float[Array, "h w _"]:
    """Return a drawn picture in the image's channels: the mean of its colours for a grey image.

    Args:
        channels: the image's, as many as the drawn picture has or one.
    """
    return drawn if drawn.shape[-1] == channels else drawn.mean(axis=-1, keepdims=True)


OTHERS = (
    "infillers.blur() and infillers.random() fill any number, mean(color=...) given one for each"
)
"""What to write instead of a learned infiller."""
