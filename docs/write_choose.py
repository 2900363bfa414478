"""Write docs/choose.md: what each method answers, costs and needs, from the table of methods.

python docs/write_choose.py

Passes that neither the row nor the loop of a method states are counted while it runs on a toy
classifier; whether a map has negative values and whether its key matters is found by asking, too.
"""

import runpy
import textwrap
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.interpreters import partial_eval
from jax.tree_util import Partial

import infillers
from fidojax.bench import Passes, count_passes, passes_per_map
from fidojax.core import Split
from fidojax.methods import KINDS, METHOD_ROWS, MethodRow, kind_of, needs_of

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "choose.md"
SHARED = runpy.run_path(str(ROOT / "docs" / "write_methods.py"))
SIDES = (32, 40)
ASKING = ("Masked pictures, without gradients", "Gradients")
"""The kinds that differ in whether gradients are taken."""
MORE = {"One pass of a trained network": " See [train your own](train_your_own.md)."}
TEXT = """\
# Choose a method

`python docs/write_choose.py` writes this page from the table of methods; a test compares them.

## In short

- **Which pixels does the decision rest on?** `fido`, the default of `fidojax explain`: the smallest
  region that carries the class by itself, checked under several fills.
- **A first look in no time**: `grad_cam` for a network with convolutions, `attention_relevance` for
  a transformer.
- **The network is a black box**: `rise`, `occlusion` or `pda`.
- **Evidence for and against, in units of the score**: `integrated_gradients` or `deeplift`. The
  values add up to the change of the score.
- **How sure is the map?** `rise` and `varsal` have their own error; `fidojax.over_keys` measures
  that of any random method.
- **Thousands of pictures of one network**: `varsal` or `realtime`, trained once.

Whatever you choose, `fidojax.region` finds the smallest region of any map on which the class holds,
and so compares methods in one unit. What each is worth on the same photos:
[all methods](results/all_methods.md), [regions](results/holding.md). What their maps look like:
[gallery](gallery.md).

## The methods

*Passes* are pictures that go forward / backward through the classifier for one map, at the default
options. *Signed* tells whether a map can speak against the class; *random*, whether another key
gives another map (with an infiller that draws nothing). Formulas, papers and files are in
[methods.md](methods.md), options in the [reference](reference/fidojax.md).

{groups}
"""


def page() -> str:
    """The whole of docs/choose.md."""
    lines: dict[str, list[tuple[str, ...]]] = {name: [] for name in KINDS}
    for row in METHOD_ROWS.values():
        counted = [_passes(row, side) for side in SIDES]
        said = f"{counted[0].forward:,} / {counted[0].backward:,}"
        if counted[0] != counted[1]:
            draws = row.defaults.get("samples", 1)
            said = f"{'one' if draws == 1 else draws} per window / 0"
        needs = "; ".join(needs_of(row))
        cells = (f"`{row.name}`", row.says, said, needs, _signed(row), _random(row))
        if row.black_box != (not counted[0].backward and kind_of(row) in ASKING):
            raise ValueError(
                f"{row.name}: its row says black_box={row.black_box}, and that is wrong"
            )
        lines[kind_of(row)].append(cells)
    head = ("method", "what the map says", "passes", "needs", "signed", "random")
    return TEXT.format(
        groups="\n\n".join(
            "\n\n".join((f"### {title}", _common(title), SHARED["table"](head, rows)))
            for title, rows in lines.items()
        )
    )


def _common(title: str) -> str:
    return textwrap.fill(KINDS[title] + MORE.get(title, ""), 100)


def _options(row: MethodRow) -> dict[str, Any]:
    """Values for the required options."""
    known = {
        "infill": infillers.mean(),
        "boxes": jnp.array([[2, 3, 12, 14]]),
        "encoder": Partial(_encoder),
        "masker": Partial(_masker),
    }
    found = {name: known[name] for name in row.required}
    return found | ({"features": Partial(_levels)} if "masker" in row.required else {})


def _passes(row: MethodRow, side: int) -> Passes:
    options, shape = _options(row), (side, side, 3)
    if row.known_passes(options) is None and row.loop is None:
        return count_passes(row.name, options, shape, 4)
    return passes_per_map(row.name, row.defaults | options, shape, 4)


def _map(row: MethodRow, key: jax.Array) -> jax.Array:
    image = jax.random.uniform(jax.random.key(1), (SIDES[0], SIDES[0], 3))
    return row.function(key, _toy(row), image, 0, **_options(row)).saliency


def _signed(row: MethodRow) -> str:
    if row.limits is not None:
        return "no, {:g} to {:g}".format(*row.limits)
    if row.order_only:
        return "only its order counts"
    return "yes" if bool(_map(row, jax.random.key(0)).min() < 0) else "no"


def _random(row: MethodRow) -> str:
    program = jax.make_jaxpr(lambda key: _map(row, key))(jax.random.key(0)).jaxpr
    return "yes" if partial_eval.dce_jaxpr(program, [True])[1][0] else "no"


def _toy(row: MethodRow) -> Any:
    draw = iter(jax.random.split(jax.random.key(3), 4))
    sizes = ((3, 8), (8, 8), (8, 8), (8, 4)) if row.attention else ((48, 8), (8, 4))
    weights = [jax.random.normal(key, size) for key, size in zip(draw, sizes, strict=False)]
    if row.attention:
        return Partial(_attending, weights)
    return Split(Partial(_features, weights[0]), Partial(_head, weights[1]))


def _patches(images: jax.Array) -> jax.Array:
    n, h, w, c = images.shape
    patches = images.reshape(n, h // 4, 4, w // 4, 4, c).transpose(0, 1, 3, 2, 4, 5)
    return patches.reshape(n, h // 4, w // 4, 16 * c)


def _features(weights: jax.Array, images: jax.Array) -> jax.Array:
    return jax.nn.relu(_patches(images) @ weights - 1)


def _head(weights: jax.Array, features: jax.Array) -> jax.Array:
    return features.mean((1, 2)) @ weights


def _attending(weights: list[jax.Array], images: jax.Array) -> jax.Array:
    embed, query, key, out = weights
    grid = _patches(images)
    tokens = grid.reshape(len(images), 1, -1, 16, 3).mean(3) @ embed  # one head
    scores = jnp.einsum("nhid,nhjd->nhij", tokens @ query, tokens @ key)
    attended = jnp.einsum("nhij,nhjd->nhid", jax.nn.softmax(scores, axis=-1), tokens)
    return (tokens + attended).mean((1, 2)) @ out


def _encoder(images: jax.Array) -> tuple[jax.Array, jax.Array]:
    mean = images.mean(-1)
    return mean, -mean


def _levels(images: jax.Array) -> tuple[jax.Array, ...]:
    return (images,)


def _masker(targets: jax.Array, confidence: Any, features: jax.Array) -> Any:
    mask = features.mean(-1)
    return mask, mask - confidence


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
