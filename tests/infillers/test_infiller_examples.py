"""The examples in the docstrings of the infillers run and print what they say."""

import doctest

import pytest

import infillers


@pytest.mark.parametrize("name", [*infillers.default_infillers(), "resized", "from_function"])
def test_example(name):
    factory = getattr(infillers, name)
    examples = doctest.DocTestFinder(recurse=False).find(factory, name)
    runner = doctest.DocTestRunner(verbose=False)
    attempted = sum(runner.run(example).attempted for example in examples)
    assert attempted >= 3, "the docstring has no example"
    assert runner.failures == 0
