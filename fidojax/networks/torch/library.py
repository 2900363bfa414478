"""PyTorch itself, which is imported at the first use."""

import importlib
from typing import Any

from fidojax.core import install_extra


def import_torch() -> Any:
    """Return the module `torch`.

    Raises:
        ImportError: PyTorch is missing.
    """
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise ImportError(f"PyTorch modules need PyTorch: {install_extra('torch')}") from error
