"""The cache of compiled programs: on for the commands, out of the way for all others."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from jax.experimental.compilation_cache import compilation_cache

from eval import run as protocols
from fidojax import cli
from fidojax.runs import compile_cache

SETTINGS = ("jax_compilation_cache_dir", *compile_cache.SETTINGS)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user's cache folder, and JAX as it was afterwards."""
    before = {name: getattr(jax.config, name) for name in SETTINGS}
    monkeypatch.delenv("FIDOJAX_NO_CACHE")
    jax.config.update("jax_compilation_cache_dir", None)  # the tests' own
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield tmp_path
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def configured():
    return jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]


def compute(number: float = 3.0) -> float:
    jax.clear_caches()
    compilation_cache.reset_cache()
    return float(jax.jit(lambda x: jnp.sin(x) * number)(1.0))


def test_small_programs_are_kept_and_read_again(home):
    where = compile_cache.enable()
    assert where is not None
    assert where == home / "fidojax" / "compiled"
    assert where.stat().st_mode & 0o777 == 0o700
    first = compute()
    stored = {path: path.stat().st_mtime_ns for path in where.iterdir()}
    assert stored
    hits = []
    jax.monitoring.register_event_listener(lambda event, **_: hits.append(event))
    assert compute() == first
    assert "/jax/compilation_cache/cache_hits" in hits
    assert stored == {path: path.stat().st_mtime_ns for path in where.iterdir()}


def test_it_can_be_switched_off(home, monkeypatch):
    monkeypatch.setenv("FIDOJAX_NO_CACHE", "1")
    assert compile_cache.enable() is None
    assert configured() is None
    assert not list(home.iterdir())


def test_a_folder_that_jax_was_given_stays(home, tmp_path):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "mine"))
    assert compile_cache.enable() is None
    assert configured() == str(tmp_path / "mine")
    assert not list(home.iterdir())


def test_a_folder_that_cannot_be_written_is_no_error(home, monkeypatch):
    (home / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "file"))
    assert compile_cache.enable() is None
    assert configured() is None


def test_what_is_corrupt_is_compiled_anew(home, recwarn):
    where = compile_cache.enable()
    assert where is not None
    first = compute()
    for spoil in (lambda b: b[: len(b) // 2], lambda b: b"", lambda b: bytes(len(b))):
        for path in where.iterdir():
            path.write_bytes(spoil(path.read_bytes()))
        assert compute() == first
    assert not recwarn.list
    compile_cache.prune(where, 1 << 30)
    assert all(path.stat().st_size for path in where.iterdir())


def test_what_was_not_used_for_longest_goes_first(tmp_path):
    for age, name in enumerate(("new", "middle", "old")):
        path = tmp_path / name
        path.write_bytes(bytes(100))
        os.utime(path, (1000 - age, 0))  # read long after it was written
    compile_cache.prune(tmp_path, 200)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["middle", "new"]
    compile_cache.prune(tmp_path, 99)
    assert not list(tmp_path.iterdir())


def test_the_commands_turn_it_on(monkeypatch):
    asked = []
    monkeypatch.setattr(compile_cache, "enable", lambda: asked.append(len(asked)))
    assert cli.main(["explain", "--method", "none"]) == 2
    assert cli.main(["bench", "--method", "none"]) == 2
    with pytest.raises(SystemExit):
        protocols.main(["none"])
    assert asked == [0, 1, 2]


SCRIPT = """
import jax
import fidojax
assert jax.config.jax_compilation_cache_dir is None
from fidojax.runs import compile_cache
assert compile_cache.enable()
x = jax.numpy.ones((8, 8))
for i in range(5):
    x = jax.jit(lambda x, i=i: (x @ x + i) / 64)(x)
print(float(x[0, 0]))
"""


def test_two_processes_share_it_and_importing_turns_nothing_on(tmp_path):
    ours = {compile_cache.OFF, *map(str.upper, SETTINGS)}
    environment = {k: v for k, v in os.environ.items() if k not in ours}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    start = [sys.executable, "-c", SCRIPT]
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(start, env=environment, **piped) for _ in range(2)]
    said = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert said[0][0] == said[1][0]
    assert not said[0][1] + said[1][1]
    assert list(tmp_path.rglob("*-cache"))
