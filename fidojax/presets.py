"""Configurations by name: plain dicts of options, `fido(..., **presets.vdsm)`.

A later option wins: `fido(..., **(presets.paper | {"lam": 2e-3}))`.
"""

from typing import Any

paper: dict[str, Any] = {}
"""The published FIDO: every option at its default (FIDO section 3.1, authors' code)."""

vdsm: dict[str, Any] = {
    "size": 28,
    "lam": 0.0,
    "tv": 0.0,
    "steps": 600,
    "samples": 64,
    "learning_rate": 0.01,
    "warmup": 50,
}
"""FIDO as VDSM ran it on MNIST (authors' run.sh; the paper says learning rate 0.02, 500 steps)."""

bbmp_mnist: dict[str, Any] = {
    "size": 28,
    "lam": 0.0,
    "tv": 0.0,
    "steps": 600,
    "learning_rate": 0.005,
}
"""BBMP as VDSM's authors ran it on MNIST."""

bbmp_localisation: dict[str, Any] = {"lam": 1e-3, "tv_exponent": 2.0, "top_classes": 5}
"""`meaningful_perturbation` with its authors' localisation parameters."""

fast: dict[str, Any] = {
    "steps": 60,
    "samples": 4,
    "learning_rate": 0.3,
    "temperature": 2.0,
    "final_temperature": 0.2,
    "b2": 0.99,
    "scale": "map",
    "smooth": 0.1,
    "final_smooth": 0.02,
    "antithetic": True,
    "warmup": 6,
}
"""FIDO at a tenth of the paper's classifier evaluations (docs/schedules.md)."""

hold: dict[str, Any] = {
    "hold": 0.9,
    "steps": 40,
    "samples": 2,
    "start": 0.7,
    "learning_rate": 1.5,
    "final_learning_rate": 0.45,
    "temperature": 1.0,
    "final_temperature": 0.1,
    "b2": 0.99,
    "scale": "map",
    "smooth": 0.1,
    "final_smooth": 0.03,
    "noise": "map",
    "antithetic": True,
    "average": 0.5,
    "warmup": 6,
}
"""The smallest region on which the class holds: 240 evaluations with two infillers, a step's two
masks and four views of the region (docs/results/holding.md)."""

PRESETS: dict[str, dict[str, Any]] = {
    "paper": paper,
    "fast": fast,
    "hold": hold,
    "vdsm": vdsm,
    "bbmp_mnist": bbmp_mnist,
    "bbmp_localisation": bbmp_localisation,
}
"""The presets by name, as `--preset` takes them."""
