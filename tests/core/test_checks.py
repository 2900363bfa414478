"""Suggestions where a name is unknown."""

import pytest

from fidojax.core import suggest

CLASSES = ("crate", "tiger cat", "Persian cat", "oxcart", "castle", "Siamese cat", "Egyptian cat")


@pytest.mark.parametrize(
    ("name", "known", "clause"),
    [
        ("cat", CLASSES, "did you mean tiger cat or Persian cat or Siamese cat?"),
        ("Tiger", CLASSES, "did you mean tiger cat?"),
        ("castel", CLASSES, "did you mean castle or crate?"),
        ("resnet50", ("mnist", "keras:ResNet50"), "did you mean keras:ResNet50?"),
        (
            "gradients",
            ("expected_gradients", "gradient"),
            "did you mean gradient or expected_gradients?",
        ),
        ("zebra", ("a", "b"), "it is one of a, b"),
    ],
)
def test_whole_words_come_first_then_what_is_spelt_alike(name, known, clause):
    assert suggest(name, known) == clause
