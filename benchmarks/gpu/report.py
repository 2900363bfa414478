"""The printed lines of `benchmarks.gpu`."""

from benchmarks.gpu.parts import Found, Results

SHOWN = {
    "images_per_second": "{:.3g} pictures/s",
    "evaluations_per_second": "{:.4g} evaluations/s",
    "gradients_per_second": "{:.4g} gradients/s",
    "gradient_share": "{:.2f} of the bare gradient",
    "peak_share": "{:.0%} of the matrix product",
    "compile_cold": "compiled in {:.1f} s",
    "program_mb": "{:.0f} MB",
    "busy_share": "device busy {:.1%}",
    "share_of_long_gaps": "long gaps {:.2%}",
    "long_gaps": "{} of them",
    "chosen": "batch size chosen {}",
    "kind": "{}",
}
"""The numbers of a line, in order, and how they are written."""
GOALS = {"paper": 2.0, "hold": 20.0}
"""Pictures per second of ResNet-50 at 224 x 224 in bfloat16 that a large GPU should reach."""
SHARE, FASTER = 0.9, 1.5
"""The goals of the share of the bare gradient, and of the speed over compiled PyTorch."""


def line(name: str, found: Found) -> str:
    """Return one part's numbers in a line."""
    said = [how.format(found[key]) for key, how in SHOWN.items() if key in found]
    said += [f"{row}: {speed:.3g} TFLOP/s" for row, speed in found.get("tflops", {}).items()]
    said += [
        f"{row['images']} pictures {row['ms_per_evaluation']:.3g} ms per evaluation,"
        f" {row['program_mb']:.0f} MB"
        for row in found.get("rows", ())
    ]
    for key in ("problem", "left_out"):
        said += [found[key]] if key in found else []
    return f"{name}: {'; '.join(said)} ({found['took']:.0f} s)"


def summary(results: Results) -> str:
    """Return the goals beside what was reached, and what was not measured."""
    lines = [*_goals(results.found)]
    if results.skipped:
        lines.append(f"not run, out of time: {', '.join(results.skipped)}")
    if results.failed:
        lines.append(f"failed: {', '.join(results.failed)}")
    return "\n".join(lines)


def _goals(found: dict[str, Found]) -> list[str]:
    said = []
    for schedule, goal in GOALS.items():
        row = found.get(f"fido/resnet50/bfloat16/{schedule}", {})
        if "images_per_second" in row:
            said.append(f"{schedule}: {row['images_per_second']:.2f} pictures/s, goal {goal:g}")
            said.append(f"{schedule}: {row['gradient_share']:.2f} of the gradient, goal {SHARE}")
    ours = found.get("fido/resnet50/bfloat16/paper", {}).get("evaluations_per_second")
    theirs = found.get("torch/resnet50/bfloat16/compiled", {}).get("evaluations_per_second")
    if ours and theirs:
        said.append(f"{ours / theirs:.2f} times compiled PyTorch's speed, goal {FASTER}")
    return said
