"""Names that people read have no character that acts, from any source."""

import pytest

from services.meshkit.errors import FieldInvalid
from services.meshkit.text import check_name, plain_name

ACTING = [
    *("\x1b]52;c;cm0=\x07", "\x00", "a\nb", "\x9b2J", "\u202efdp.exe", "\u2066x\u2069"),
    *("in\u200bvisible", "\U000e0041"),
]
PLAIN = ["Käthe Müller", "山田 太郎", "Team 🏳️\u200d🌈", "नमस्\u200cते", "O'Brien & <b>"]


@pytest.mark.parametrize("name", ACTING)
def test_a_name_with_an_acting_character_is_refused(name: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        check_name("display_name", name, 200)

    assert "display_name" in refused.value.violations


@pytest.mark.parametrize("name", PLAIN)
def test_names_of_all_scripts_are_taken(name: str) -> None:
    check_name("display_name", name, 200, least=1)

    assert plain_name(name, 200) == name


@pytest.mark.parametrize("name", ACTING)
def test_another_systems_name_loses_its_acting_characters(name: str) -> None:
    check_name("display_name", plain_name(f"{name} Kim", 200), 200, least=1)


def test_a_cut_name_has_no_blank_at_its_end() -> None:
    assert plain_name("ab cd", 3) == "ab"
