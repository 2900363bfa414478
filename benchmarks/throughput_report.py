"""The rows of `benchmarks.throughput`, their sentences and their table."""

import dataclasses

from rich.table import Table


@dataclasses.dataclass(frozen=True)
class ThroughputRow:
    """One network at one batch size.

    Attributes:
        network: its name.
        images: images per step.
        masks: mask evaluations per step, over all images.
        step: seconds of one step.
        gradient: seconds of the bare gradient on that number of masked images.
        torch_step, torch_gradient: the same in PyTorch.
        torch_layout: the faster of NCHW and channels_last.
    """

    network: str
    images: int
    masks: int
    step: float
    gradient: float
    torch_step: float
    torch_gradient: float
    torch_layout: str

    @property
    def speed(self) -> float:
        """The speed over PyTorch's."""
        return self.torch_step / self.step


def reason(row: ThroughputRow) -> str:
    """Return a sentence that splits the difference to PyTorch into gradient and rest."""
    rest, torch_rest = row.step - row.gradient, row.torch_step - row.torch_gradient
    return (
        f"{row.network}, {row.images} images: {row.speed:.2f} times PyTorch's speed"
        f" ({row.torch_layout}); per masked image the network's own gradient takes"
        f" {1e3 * row.gradient / row.masks:.3g} ms against"
        f" {1e3 * row.torch_gradient / row.masks:.3g} ms, and all the rest of a step"
        f" {1e3 * rest / row.masks:.2g} ms against {1e3 * torch_rest / row.masks:.2g} ms."
    )


def table(rows: list[ThroughputRow]) -> Table:
    """Return the rows as a table for the terminal."""
    title = "A FIDO step; batch = images x masks, ratio = step / gradient"
    result = Table("network", "batch", "ms/mask", "ratio", "x torch", "layout", title=title)
    for row in rows:
        result.add_row(
            row.network,
            f"{row.images}x{row.masks // row.images}",
            f"{1e3 * row.step / row.masks:.3g}",
            f"{row.step / row.gradient:.3f}",
            f"{row.speed:.2f}",
            row.torch_layout,
        )
    return result
