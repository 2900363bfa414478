"""What FIDO's paper and VarSal's say of explainers: their numbers and their orderings."""

from collections.abc import Mapping, Sequence

from eval.study import Claim

# FIDO Table 1: WSL error and saliency metric, ImageNet's 50,000, ResNet-50.
TABLE1 = {
    "max_box": (0.597, 1.029),
    "center_box": (0.469, 0.414),
    "object_box": (0.0, 0.392),
    "gradient": (0.521, 0.577),
    "deconvnet": (0.494, 0.627),
    "grad_cam": (0.419, 0.433),
    "realtime": (0.478, 0.076),
    "fido-mean": (0.531, 0.836),
    "fido-blur": (0.516, 0.766),
    "fido-random": (0.508, 0.728),
    "fido-local": (0.467, 0.543),
    "fido-vae": (0.502, 0.433),
    "fido-ca": (0.570, -0.021),
}
# WSL error and saliency metric on 1000 pictures of ImageNet, ResNet-50.
TABLE2 = {
    "bbmp-blur": (0.613, 1.097),
    "bbmp-random": (0.550, 0.912),
    "bbmp-ca 0": (0.686, 0.722),
    "bbmp-ca 0.1": (0.902, 1.426),
    "bbmp-ca 0.2": (0.891, 1.272),
    "bbmp-ca 0.3": (0.791, 0.535),
    "bbmp-ca 0.4": (0.575, 0.595),
    "bbmp-ca 0.5": (0.631, 1.103),
    "bbmp-ca 0.7": (0.635, 1.123),
    "bbmp-ca 1": (0.635, 1.117),
    "fido-blur": (0.487, 0.763),
    "fido-random": (0.533, 0.784),
    "fido-ca": (0.521, -0.092),
    "object_box": (0.0, 0.432),
}


# Neighbours in the paper's order of a number, and who it says is best.
_PAIRS = {
    "error": (
        ("grad_cam", "center_box"), ("grad_cam", "gradient"), ("grad_cam", "realtime"),
        ("deconvnet", "gradient"), ("center_box", "max_box"), ("gradient", "max_box"),
        ("fido-local", "fido-vae"), ("fido-local", "fido-mean"), ("fido-vae", "fido-random"),
        ("fido-random", "fido-blur"), ("fido-blur", "fido-mean"), ("fido-mean", "fido-ca"),
        ("realtime", "fido-ca"),
    ),
    "metric": (
        ("fido-ca", "realtime"), ("fido-ca", "object_box"), ("fido-ca", "center_box"),
        ("fido-ca", "grad_cam"), ("realtime", "object_box"), ("object_box", "center_box"),
        ("center_box", "grad_cam"), ("grad_cam", "gradient"),
        ("gradient", "deconvnet"), ("deconvnet", "max_box"), ("fido-ca", "fido-vae"),
        ("fido-vae", "fido-local"), ("fido-local", "fido-random"), ("fido-random", "fido-blur"),
        ("fido-blur", "fido-mean"), ("fido-mean", "max_box"), ("realtime", "fido-vae"),
    ),
}  # fmt: skip
_NOISE = ("mean", "blur", "random")
"""The infillers that look at no structure: the heuristics of section 4.5."""
_PIECES = ("components", "border", "spread")


def table1_claims(learned: str = "ca", rows: Sequence[str] = ()) -> list[Claim]:
    """The orderings of FIDO's Table 1, Figures 8 and 10 and sections 4.3 to 4.6, A.1, and of
    VarSal's Figure 5a.

    Realtime at confidence 0, that of its training, has the claims of Realtime once more.

    Args:
        learned: the infiller that stands for the paper's CA.
        rows: of the study; rows of a variant, "fido-mean@paper" or "bbmp-blur@0.001", are claimed
            against each other as the rows without it are.
    """
    table = [
        Claim(better, worse, key, _published(better, worse, place))
        for place, key in enumerate(("error", "metric"))
        for better, worse in _PAIRS[key]
    ]
    table += [
        claim._replace(better=_of_training(claim.better), worse=_of_training(claim.worse))
        for claim in table
        if "realtime" in (claim.better, claim.worse)
    ]
    others = [f"fido-{fill}" for fill in (*_NOISE, "local", "vae")]
    figure8 = [Claim("fido-ca", other, "outside", "Figure 8") for other in others]
    rivals = (*others, "bbmp-blur", "bbmp-random")
    figure10 = [Claim("fido-ca", other, "learned deletion50", "Figure 10") for other in rivals]
    parsimony = [
        Claim(f"fido-{fill}", f"fido-{other}", "learned deletion50", "section 4.5")
        for fill in ("vae", "local")
        for other in _NOISE
    ]
    pieces = [
        Claim(better, worse, key, section)
        for better, worse, section in (
            *(("fido-ca", f"fido-{fill}", "section 4.3") for fill in _NOISE),
            *((f"fido-{fill}", f"bbmp-{fill}", "section 4.6") for fill in ("blur", "random")),
            *(("fido-ca", f"bbmp-{fill}", "sections 4.6, A.1") for fill in ("blur", "random")),
        )
        for key in _PIECES
    ]
    rivals = ("random", "gradient", "integrated_gradients", "smoothgrad_squared")
    varsal = [Claim("varsal", other, "kl50", "VarSal Figure 5a") for other in rivals]
    claims = [*table, *figure8, *figure10, *parsimony, *pieces, *varsal]
    return _in_variants([_with_learned(claim, learned) for claim in claims], rows)


def _of_training(row: str) -> str:
    return "realtime-0" if row == "realtime" else row


def _with_learned(claim: Claim, learned: str) -> Claim:
    stands = {"fido-ca": f"fido-{learned}"}
    better, worse = (stands.get(row, row) for row in (claim.better, claim.worse))
    return claim._replace(better=better, worse=worse)


def _in_variants(claims: Sequence[Claim], rows: Sequence[str]) -> list[Claim]:
    """The claims, and those of the rows' variants: once with each variant of either side.

    Two variants are claimed against each other where they are the same, or of different methods.
    """
    variants: dict[str, list[str]] = {}
    for row in rows:
        variants.setdefault(row.partition("@")[0], []).append(row)
    found = {}
    for claim in claims:
        for better in variants.get(claim.better, [claim.better]):
            for worse in variants.get(claim.worse, [claim.worse]):
                same = better.partition("-")[0] == worse.partition("-")[0]
                if not same or better.partition("@")[2] == worse.partition("@")[2]:
                    found[better, worse, claim.number] = claim._replace(better=better, worse=worse)
    return list(found.values())


def table2_claims(rivals: Sequence[str]) -> list[Claim]:
    """Table 2 and Figure 18: FIDO-CA is ahead of every BBMP."""
    table = [
        Claim("fido-ca", other, number, _published("fido-ca", other, place, TABLE2))
        for place, number in enumerate(("error", "metric"))
        for other in rivals
    ]
    return table + [Claim("fido-ca", other, "deletion50", "Figure 18") for other in rivals]


def _published(
    better: str, worse: str, place: int, table: Mapping[str, tuple[float, float]] = TABLE1
) -> str:
    if better not in table or worse not in table:
        return ""
    return f"{table[better][place]:g} against {table[worse][place]:g}"
