"""The kinds of methods: by what they need, then by how they ask the classifier."""

from fidojax.methods.row import MethodRow

KINDS = {
    "Masks found by optimisation": "The map is a mask, found in hundreds of steps, each with a "
    "backward pass. They answer the question most directly, and cost the most.",
    "Masked pictures, without gradients": "The classifier is a black box: only its outputs on "
    "changed pictures count.",
    "Gradients": "A few backward passes. The map says how the score changes, not what the class "
    "needs.",
    "Features of one layer": "As coarse as the layer, and nearly free. The classifier shows its "
    "features: networks of `fidojax.networks` do, others by `fidojax.Split`.",
    "Transformers": "The attention is found in the classifier's own program.",
    "One pass of a trained network": "A network that was trained for the classifier gives the map "
    "at once.",
    "Controls": "They do not look at the classifier. A map that is not better says nothing.",
}
"""What the methods of a kind have in common, by the kind's title, in the order of lists."""

_TRAINED = {
    "encoder": "a trained encoder (`load_encoder`)",
    "masker": "a trained masker (`load_masker`)",
}
_NEEDS = {"infill": "an infiller", "boxes": "the object's boxes", **_TRAINED}


def kind_of(row: MethodRow) -> str:
    """Return the title in `KINDS` that a method belongs to."""
    if row.control:
        return "Controls"
    if _TRAINED.keys() & {*row.required}:
        return "One pass of a trained network"
    if row.attention:
        return "Transformers"
    if row.features:
        return "Features of one layer"
    if row.loop is not None:
        return "Masks found by optimisation"
    return "Masked pictures, without gradients" if row.black_box else "Gradients"


def needs_of(row: MethodRow) -> list[str]:
    """Return what a method needs besides a classifier and a picture, in words."""
    needs = [_NEEDS.get(option, option) for option in row.required]
    needs += ["an infiller (optional)"] if row.fills and "infill" not in row.required else []
    needs += ["a classifier that shows its features"] if row.features else []
    return needs + (["a transformer"] if row.attention else [])
