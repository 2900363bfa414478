"""The orderings that FIDO's Table 1 is judged by."""

from eval.protocols.fido_published import table1_claims


def pairs(number, rows=(), learned="ca"):
    claims = table1_claims(learned, rows)
    return [(claim.better, claim.worse) for claim in claims if claim.number == number]


def test_heuristics_are_behind_vae_and_local_under_the_learned_deletion():
    found = pairs("learned deletion50")
    for fill in ("vae", "local"):
        for other in ("mean", "blur", "random"):
            assert (f"fido-{fill}", f"fido-{other}") in found
    assert ("fido-blur", "bbmp-blur") in pairs("components")
    assert ("fido-random", "bbmp-random") in pairs("spread")


def test_realtime_of_its_training_has_the_claims_of_realtime():
    for number in ("error", "metric"):
        found = pairs(number)
        own = [pair for pair in found if "realtime" in pair]
        again = [tuple(row.replace("realtime", "realtime-0") for row in pair) for pair in own]
        assert own
        assert [pair for pair in found if "realtime-0" in pair] == again


def test_another_infiller_stands_for_ca():
    assert ("fido-unet", "realtime") in pairs("metric", learned="unet")
    claims = table1_claims("unet")
    assert not any("fido-ca" in (claim.better, claim.worse) for claim in claims)
    (claim,) = (each for each in claims if (each.better, each.worse, each.number)
                == ("fido-unet", "fido-vae", "metric"))  # fmt: skip
    assert claim.published == "-0.021 against 0.433"


def test_variants_are_claimed_against_their_like_and_other_methods():
    rows = ["fido-ca", "fido-mean", "fido-ca@paper", "fido-mean@paper", "bbmp-blur",
            "bbmp-blur@0.001", "grad_cam"]  # fmt: skip
    found = pairs("metric", rows)
    assert ("fido-ca@paper", "grad_cam") in found
    assert ("fido-mean@paper", "max_box") in found
    deleted = pairs("learned deletion50", rows)
    assert ("fido-ca@paper", "fido-mean@paper") in deleted
    assert ("fido-ca@paper", "fido-mean") not in deleted
    assert ("fido-ca@paper", "bbmp-blur@0.001") in deleted
    assert ("fido-ca", "bbmp-blur") in deleted
    assert len(deleted) == len(set(deleted))
