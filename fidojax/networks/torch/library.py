"""PyTorch itself, which is imported at the first use."""

import importlib
from typing import Any


def import_torch() -> Any:
    """Return the module `torch`.

    Raises:
        ImportError: PyTorch is missing.
    """
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise ImportError("PyTorch modules need PyTorch: pip install 'fidojax[torch]'") from error
