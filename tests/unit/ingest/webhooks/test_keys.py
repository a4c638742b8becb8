"""Items have the same key exactly when their parts are equal."""

from hypothesis import given
from hypothesis import strategies as st

from services.ingest.webhooks.item_keys import digest_key

PARTS = st.lists(st.text(st.characters(codec="utf-8")), max_size=4)


@given(PARTS, PARTS)
def test_keys_are_equal_only_for_equal_parts(one: list[str], other: list[str]) -> None:
    assert (one == other) is (digest_key("tenant", *one) == digest_key("tenant", *other))


def test_nothing_of_one_tenant_is_a_repeat_of_anothers() -> None:
    assert digest_key("tenant-1", "mail", "id") != digest_key("tenant-2", "mail", "id")
