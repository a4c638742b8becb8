"""The caller behind a certificate and behind the edge's headers."""

import pytest

from services.meshkit.errors import ApiKeyInvalid, CallerUnknown, KeyLacksAbility, RoleTooLow
from services.meshkit.identity.caller import Caller, Role, calling_as, current_caller, key_caller, mesh_name


@pytest.mark.parametrize(
    "uris",
    [
        [],
        [b"spiffe://elsewhere/ingest"],
        [b"spiffe://mailmesh/"],
        [b"spiffe://mailmesh/ingest", b"spiffe://mailmesh/envoy"],
        [b"spiffe://mailmesh/ingest", b"https://mailmesh/ingest"],
        [b"spiffe://mailmesh.evil/ingest"],
        [b"\xff\xfe"],
    ],
)
def test_a_certificate_that_names_nobody_of_the_mesh_is_refused(uris):
    with pytest.raises(CallerUnknown):
        mesh_name({"peer_uri": uris})


def test_a_certificate_names_its_mesh_identity():
    assert "token-vault" == mesh_name({"peer_uri": [b"spiffe://mailmesh/token-vault"]})


def test_a_connection_without_a_certificate_is_refused():
    with pytest.raises(CallerUnknown):
        mesh_name({"transport_security_type": [b"ssl"], "x509_common_name": [b"ingest"]})


def test_each_role_includes_the_ones_below_it():
    Caller("envoy", role=Role.ADMIN).require(Role.READER)
    with pytest.raises(RoleTooLow):
        Caller("envoy", role=Role.READER).require(Role.OPERATOR)
    with pytest.raises(RoleTooLow):
        Caller("envoy").require(Role.READER)


@pytest.mark.parametrize(
    ("tenants", "seen", "unseen"),
    [("*", "t1", None), ("t1", "t1", "t2"), (" t1 , t2", "t2", "t3"), (",", None, "t1")],
)
def test_the_scope_is_what_the_edge_says(tenants, seen, unseen):
    headers = {"x-mailmesh-key-id": "k", "x-mailmesh-role": "reader", "x-mailmesh-tenants": tenants}
    caller = key_caller("envoy", headers)

    assert seen is None or caller.may_see(seen)
    assert unseen is None or not caller.may_see(unseen)


@pytest.mark.parametrize(
    ("header", "abilities"),
    [
        (None, {"mail.read"}),
        ("", set()),
        ("*", {"*"}),
        ("mail.read,mail.send", {"mail.read", "mail.send"}),
        ("mail.read,*", {"mail.read"}),  # as a header that comes twice is read
        ("*,*", set()),
    ],
)
def test_the_abilities_are_what_the_edge_says_and_never_more(header, abilities):
    headers = {"x-mailmesh-key-id": "k", "x-mailmesh-role": "reader", "x-mailmesh-tenants": "*"}
    caller = key_caller("envoy", headers if header is None else {**headers, "x-mailmesh-abilities": header})

    assert abilities == caller.abilities
    assert caller.has_ability("mail.send") == bool({"mail.send", "*"} & abilities)


def test_a_key_without_the_ability_is_refused_by_name():
    caller = Caller("envoy", "k", Role.ADMIN, None, frozenset({"mail.send", "mail.read"}))
    caller.require_ability("mail.send")
    with pytest.raises(KeyLacksAbility) as refused:
        caller.require_ability("mail.mark")

    assert {"required_ability": "mail.mark", "abilities": "mail.read,mail.send"} == refused.value.metadata


def test_a_call_that_says_nothing_is_refused():
    with pytest.raises(ApiKeyInvalid):
        key_caller("envoy", {})


def test_outside_of_a_call_there_is_no_caller():
    with pytest.raises(CallerUnknown):
        current_caller()


def test_a_command_may_call_as_somebody():
    with calling_as(Caller("operator")):
        assert "operator" == current_caller().name
    with pytest.raises(CallerUnknown):
        current_caller()
