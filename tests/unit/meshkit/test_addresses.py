"""Addresses are compared by IDNA 2008, and no address is beyond comparison."""

import pytest

from services.meshkit.addresses import is_single, plain
from services.meshkit.persons import Person
from services.processor.outbox.content import address_of


@pytest.mark.parametrize(
    ("given", "compared"),
    [
        (" Ann@Example.TEST. ", "ann@example.test"),
        ("ann@straße.de", "ann@xn--strae-oqa.de"),
        ("ann@STRASSE.de", "ann@strasse.de"),
        ("ann@BÜCHER.example", "ann@xn--bcher-kva.example"),
        ("ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example"),
        ("ann@☃.example", "ann@☃.example"),  # a symbol, which IDNA 2008 does not know
        ("ann@-ü-.example", "ann@-ü-.example"),
        (f"ann@{'ü' * 70}.example", f"ann@{'ü' * 70}.example"),
        ("ann@ü..example", "ann@ü..example"),
        ("", ""),
        ("ann", ""),
        ("@example.test", ""),
        ("ann@", ""),
        (f"{'a' * 400}@example.test", ""),
    ],
)
def test_an_address_has_one_form_in_which_it_is_compared(given: str, compared: str) -> None:
    assert compared == plain(given)
    assert compared == plain(compared)


def test_two_domains_that_idna_2003_takes_as_one_are_two() -> None:
    assert plain("ann@straße.de") != plain("ann@strasse.de")
    assert plain("ann@straße.de") == address_of("to", "ann@straße.de")
    person = Person(plain("ann@straße.de"))
    assert person.is_in("by ann@straße.de and others")
    assert person.is_in("by ann@xn--strae-oqa.de")
    assert not person.is_in("by ann@strasse.de")
    assert person.is_all("Ann@STRAßE.de")


@pytest.mark.parametrize("domain", ["☃.example", "-ü-.example", "xn--0.example", "xn--strae-oqa-.de", "\udcff.example"])
def test_a_domain_without_an_ascii_form_is_found_by_its_characters(domain: str) -> None:
    person = Person(plain(f"ann@{domain}"))
    assert person.is_in(f"by ANN@{domain}")
    assert not person.is_in("by ann@example.test")


def test_a_text_around_an_address_is_not_one() -> None:
    assert [True, False, False, False] == [
        is_single(plain(text)) for text in ("ann@b.test", "a b@c.test", "<a@b.test>", '"a,b"@c.test')
    ]


@pytest.mark.parametrize(
    ("text", "may_be"),
    [("by ANN.K@example.test", True), ("by ann.\u212a@example.test", True), ("by bob@example.test, ann@", False)],
)
def test_bytes_without_the_local_part_need_no_closer_look(text: str, may_be: bool) -> None:
    person = Person("ann.k@example.test")
    assert may_be is person.may_be_in(text.encode())
    assert not person.is_in(text) or may_be
