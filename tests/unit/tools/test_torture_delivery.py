"""The comparison of webhooks after a torture finds each kind of fault."""

import pytest

from tests.mesh.torture_delivery import places_of, webhook_faults

PLACES = places_of([("a1", "mail a"), ("b1", "mail b"), ("a2", "mail a"), ("a3", "mail a")])


@pytest.mark.parametrize(
    ("taken", "part"),
    [
        ("a1 b1 a2 a3", ""),
        ("b1 a1 a1 a2 a3 a3", ""),
        ("a1 a2 a3", "b1 never arrived"),
        ("a1 a2 a1 b1 a3", "a1 arrived behind a later one"),
        ("b1 a2 a1 a2 a3", "a1 arrived behind a later one"),
        ("a1 b1 a2 a3 c1", "c1 is not in the stream"),
    ],
)
def test_webhooks_are_judged_by_the_stream(taken: str, part: str) -> None:
    found = webhook_faults(taken.split(), PLACES)

    assert (bool(part), part in "".join(found)) == (bool(found), True)
