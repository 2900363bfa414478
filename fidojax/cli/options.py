"""The options of the commands, as dataclasses from which tyro makes the command line."""

from dataclasses import dataclass
from typing import Annotated, Any

from tyro.conf import FlagCreatePairsOff, Positional, UseAppendAction, arg


def _shown(metavar: str | None, default: str, aliases: tuple[str, ...] = ()) -> Any:
    """The appearance in the help of an option whose default is chosen later."""
    hint = f"(default: {default})" if default else ""
    return arg(metavar=metavar, help_behavior_hint=hint, aliases=aliases)


class UsageError(Exception):
    """The command cannot be carried out as given; the message is one sentence for the user."""


@dataclass(frozen=True)
class Explain:
    """One setting of `fidojax explain`: its infillers are those under each of which a region has to
    hold, its first class is explained, and what the region says of the others is stored.
    """

    paths: Positional[Annotated[tuple[str, ...], _shown("[PATH ...]", "")]] = ()
    """Pictures, folders, tfds:NAME[/CONFIG][/SPLIT][[START:STOP]] or skimage:NAME."""
    out: Annotated[str, arg(metavar="FOLDER", aliases=("-o",))] = "explanations"
    """Folder of the results, also s3://BUCKET/FOLDER, gs:// or az://."""
    method: str = "fido"
    """Method; `fidojax list` shows all, and all presets, infillers and classifiers."""
    preset: Annotated[str | None, _shown("NAME", "for fido: fast")] = None
    """Schedule and constants; `--preset paper` is the published one of every method."""
    infill: Annotated[tuple[str, ...], _shown("NAME[:OPTION=VALUE][+NAME] ...", "mean+blur")] = ()
    """What fills dropped pixels, such as blur:sigma=5; for mnist the default is black. A region has
    to hold under each of mean+blur, with which the method itself fills, by mean if it takes no
    several."""
    objective: Annotated[str | None, _shown("ssr|sdr|dual", "ssr")] = None
    """ssr: smallest region that supports the class; sdr: smallest whose loss destroys it; dual:
    both."""
    hold: Annotated[str | None, _shown("SHARE|first|none", "0.9")] = None
    """Share of the class's probability that the region has to hold, or "first": the class has to
    stay first. fido searches for such a region, other maps are cut where it holds. "none": no
    region."""
    regions: Annotated[int, arg(metavar="N")] = 1
    """Largest number of regions, up to 4, that hold by themselves and do not overlap."""
    target: Annotated[tuple[str, ...], _shown("CLASS ...", "the prediction")] = ()
    """Class to explain: a name, an index, or "label" for a data set's own label. Of several, each
    is explained, and the figures say what its region says of all of them."""
    classifier: Annotated[
        str | None, _shown("NAME", "efficientnet_lite0, where not installed tiny_imagenet40")
    ] = None
    """Classifier of `fidojax list`, or keras:NAME for a network of keras.applications."""
    weights: Annotated[str | None, _shown("FILE", "the classifier's own")] = None
    """File with other weights."""
    explainer: Annotated[str | None, _shown("FILE", "the one shipped for the classifier")] = None
    """For varsal and realtime: file with the network that explains, trained for the classifier."""
    layer: Annotated[str | None, _shown("NAME", "the last before the pooling")] = None
    """Layer whose output Grad-CAM explains by."""
    steps: Annotated[int | None, _shown("N", "of the preset")] = None
    """Optimiser steps."""
    samples: Annotated[int | None, _shown("N", "of the preset")] = None
    """Masks per step, each one evaluation of the classifier; for varsal, maps drawn."""
    lam: Annotated[float | None, _shown("X", "of the preset", ("--lambda",))] = None
    """Weight of the region's size, a sum over pixels."""
    tv: Annotated[float | None, _shown("X", "of the preset")] = None
    """Weight of the map's total variation, a sum over pixels."""
    size: Annotated[int | None, _shown("N", "of the preset")] = None
    """Side of the optimised map before it is upsampled."""
    learning_rate: Annotated[float | None, _shown("X", "of the preset", ("--lr",))] = None
    """Step size at the start."""
    score: Annotated[str | None, _shown("NAME", "log_odds")] = None
    """Evidence for the class: log_odds, log_probability, logit or probability."""
    set: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="OPTION=VALUE")] = ()
    """Any other option of the method."""
    precision: Annotated[str | None, _shown("NAME", "as JAX decides")] = None
    """Precision of the classifier's products: float32, tf32 or bfloat16."""
    stop_early: Annotated[bool, _shown(None, ""), FlagCreatePairsOff] = False
    """End a picture's steps where its map has converged; the next picture takes its place."""
    seed: Annotated[int, arg(metavar="N")] = 0
    """A picture's map depends on the seed and on the picture's name, not on its neighbours."""
    batch_size: Annotated[int | None, _shown("N", "as memory allows")] = None
    """Pictures per compiled call; each device has one under way, on CPUs each core."""
    spread: Annotated[bool, _shown(None, ""), FlagCreatePairsOff] = False
    """Divide each picture's evaluations among the devices, on CPUs the cores; for few pictures."""
    rewrite: bool = True
    """On CPUs, evaluate the classifier by operations that compute the same and are fast there."""
    strict: Annotated[bool, _shown(None, ""), FlagCreatePairsOff] = False
    """Refuse a classifier that seems to return probabilities, instead of a warning."""
    crop: Annotated[float | None, _shown("SHARE", "0.875 for ImageNet networks, else 1")] = None
    """Share of the shorter side that the centre crop keeps."""
    limit: Annotated[int | None, _shown("N", "all")] = None
    """Largest number of pictures."""
    boxes: Annotated[str | None, _shown("FILE", "none")] = None
    """Boxes and labels of picture files: CSV (file,x0,y0,x1,y1[,label]), ImageNet's or COCO's."""
    data_dir: Annotated[str | None, _shown("FOLDER", "~/tensorflow_datasets")] = None
    """Folder of the prepared TFDS data sets."""
    shard: Annotated[str | None, _shown("I/N", "all")] = None
    """The I-th of N parts of the pictures, so that N processes share a run."""
    distributed: Annotated[bool, _shown(None, ""), FlagCreatePairsOff] = False
    """Share the run with the processes that srun, mpirun or a TPU pod has started beside it."""
    dry_run: Annotated[bool, _shown(None, ""), FlagCreatePairsOff] = False
    """Forecast the cost and write nothing."""
    figures: bool = True
    """Draw a figure for each picture."""
    save: Annotated[tuple[str, ...], _shown("npy|png|overlay ...", "none")] = ()
    """Also write each map into OUT/maps: its values, in colours, or over the picture."""
    numbers: Annotated[bool, _shown(None, ""), FlagCreatePairsOff] = False
    """Measure each map by two numbers that do not depend on the setting: the smallest share of the
    pixels on which the class holds, and deletion. Several settings are measured in any case."""
    force: Annotated[bool, _shown(None, ""), FlagCreatePairsOff] = False
    """Explain pictures again that were explained before."""


@dataclass(frozen=True)
class ExplainSeveral(Explain):
    """Find the pixels that a classifier's decision rests on, and show them.

    Without arguments, two photos that come with scikit-image are explained, offline. Several
    methods, infills or classes are shown side by side, one column for each combination. Pictures
    that were explained before with the same settings are skipped, so an interrupted run goes on
    where it was.
    """

    method: Annotated[tuple[str, ...], arg(metavar="NAME ...", aliases=("-m",))] = ("fido",)  # pyright: ignore[reportIncompatibleVariableOverride]
    """Methods; `fidojax list` shows all, and all presets, infillers and classifiers."""


@dataclass(frozen=True)
class Bench:
    """Measure how fast this machine explains, and how near that is to its ceiling.

    Every combination of the names is a row of a table; a row that cannot be measured says why. The
    pictures are noise. Without arguments it takes a minute or two.
    """

    classifier: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = ("tiny_imagenet40",)
    """Shipped classifiers, or keras:NAME for networks of keras.applications."""
    weights: Annotated[str | None, _shown("FILE", "random for keras, else the shipped ones")] = None
    """File with weights of the classifier."""
    method: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = ("fido",)
    """Methods, or "all"; those that take very long at their papers' constants run shorter."""
    infill: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = ("mean",)
    """Infillers, such as blur or blur:sigma=5, or "all"; for methods that fill something in."""
    batch_sizes: Annotated[tuple[int, ...], arg(metavar="N ...")] = (1, 4, 16)
    """Pictures per compiled call."""
    precision: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = ("float32",)
    """Precisions of the classifier's products: float32, tf32 or bfloat16."""
    preset: Annotated[str, arg(metavar="NAME")] = "fast"
    """FIDO's schedule."""
    set: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="OPTION=VALUE")] = ()
    """Any other option of the methods, such as samples=8."""
    explainer: Annotated[str | None, _shown("FILE", "the one shipped for the classifier")] = None
    """For varsal and realtime: file with the network that explains."""
    steps: Annotated[int, arg(metavar="N")] = 10
    """Steps of the timed runs; images/s are for all steps of the method."""
    repeats: Annotated[int, arg(metavar="N")] = 3
    """Calls per round, alternating with bare passes; the median counts."""
    rounds: Annotated[int, arg(metavar="N")] = 2
    """Rounds; the lowest of their medians counts."""
    clock: Annotated[str, arg(metavar="wall|cpu")] = "wall"
    """cpu: the process's CPU time over all threads, for a machine that is busy with other work."""
    markdown: Annotated[bool, _shown(None, ""), FlagCreatePairsOff] = False
    """Print the table as Markdown on a terminal, too."""
    spread: Annotated[bool, _shown(None, ""), FlagCreatePairsOff] = False
    """Divide the evaluations instead of the pictures among the devices, on CPUs the cores."""
    json: Annotated[str | None, _shown("FILE", "none")] = None
    """Also write the numbers, with device, versions and settings."""


@dataclass(frozen=True)
class List:
    """Show methods, presets, infillers and classifiers; of names, what their options are."""

    names: Positional[Annotated[tuple[str, ...], _shown("[NAME ...]", "")]] = ()
    """Methods, infillers or presets, or "classes": those of --classifier."""
    classifier: Annotated[str | None, _shown("NAME", "that of fidojax explain")] = None
    """The classifier whose classes are listed."""


@dataclass(frozen=True)
class Cite:
    """Print BibTeX of methods, infillers, classifiers or papers; without names, all of it."""

    names: Positional[Annotated[tuple[str, ...], _shown("[NAME ...]", "")]] = ()
    """Names as in `fidojax list`, or folders of results: all that their runs used."""
