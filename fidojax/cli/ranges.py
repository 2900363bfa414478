"""Checks of the numbers of a command that need neither the classifier nor the pictures."""

from fidojax.cli.options import Explain

COUNTS = ("batch_size", "limit", "steps", "size")
"""Options that are at least 1."""
WEIGHTS = ("lam", "tv", "samples")
"""Options that are at least 0; fewer samples than a method needs are its own to refuse."""


def check_numbers(asked: Explain) -> None:
    """Raise ValueError unless every number of the command is in its range."""
    for names, least in ((COUNTS, 1), (WEIGHTS, 0)):
        for name in names:
            value = getattr(asked, name)
            if value is not None and not value >= least:
                raise ValueError(f"{flag(name)} is {value}, expected at least {least}")
    if asked.learning_rate is not None and not asked.learning_rate > 0:
        raise ValueError(f"--learning-rate is {asked.learning_rate}, expected more than 0")
    if asked.crop is not None and not 0 < asked.crop <= 1:
        raise ValueError(f"--crop is {asked.crop}, expected a share above 0 and up to 1")


def flag(name: str) -> str:
    """The option of the command line behind a field of `Explain`."""
    return f"--{name.replace('_', '-')}"
