"""Meshkit reads the contract's options, and its own numbers equal the contract's."""

from mailmesh.access.v1 import access_pb2
from services.meshkit.access import Access, Door, access_table
from services.meshkit.identity.caller import Role
from tests.programs.echo import echo_service


def test_the_table_is_read_from_the_options():
    table = access_table(echo_service("MeshEcho")) | access_table(echo_service("KeyEcho"))

    assert Access(Door.MESH, frozenset({"ingest", "processor"})) == table["/echo.v1.MeshEcho/One"]
    assert Access(Door.KEY, frozenset(), Role.ADMIN) == table["/echo.v1.KeyEcho/Manage"]


def test_the_open_door_needs_neither_callers_nor_role():
    assert {"/echo.v1.OpenEcho/Knock": Access(Door.OPEN)} == access_table(echo_service("OpenEcho"))


def test_doors_and_roles_have_the_numbers_of_the_contract():
    doors = {f"DOOR_{'UNSPECIFIED' if door is Door.CLOSED else door.name}": int(door) for door in Door}
    roles = {f"ROLE_{'UNSPECIFIED' if role is Role.NONE else role.name}": int(role) for role in Role}

    assert (dict(access_pb2.Door.items()), dict(access_pb2.Role.items())) == (doors, roles)
