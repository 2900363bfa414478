"""How the optional dependencies of fidojax are installed, in words."""


def install_extra(name: str) -> str:
    """Return the command that installs an extra of pyproject.toml, from the index and in a clone.

    Args:
        name: of the extra, such as "keras".
    """
    return f"pip install 'fidojax[{name}]' (in a clone: pip install '.[{name}]')"
