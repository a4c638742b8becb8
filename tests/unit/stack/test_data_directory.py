"""The data directory."""

import stat
from pathlib import Path

import pytest

from stack.data_directory import DataDirectory
from stack.errors import DirectoryLockedError, ForeignDirectoryError, UnsuitablePathError
from stack.vault_keys import ensure_vault_keys


@pytest.mark.parametrize("name", ["no UTF-8 \udcff", "a\nb", "\x1b]0;title\x07", "\u202efdp"], ids=ascii)
def test_a_path_that_settings_cannot_hold_is_refused_before_anything_is_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnsuitablePathError, match="rename it"):
        DataDirectory(tmp_path / name / "data").prepare()

    assert [] == list(tmp_path.iterdir())


def test_a_second_stack_cannot_use_the_same_directory(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)

    with data.locked(), pytest.raises(DirectoryLockedError, match="is in use by process"), data.locked():
        pass


def test_no_other_user_can_open_the_lock_and_so_keep_the_mesh_from_starting(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with DataDirectory(tmp_path).locked():
        made = stat.S_IMODE(lock.stat().st_mode)
    lock.chmod(0o644)
    with DataDirectory(tmp_path).locked():
        kept = stat.S_IMODE(lock.stat().st_mode)

    assert (0o600, 0o600) == (made, kept)


def test_the_directory_is_free_again_after_the_stack_has_ended(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)

    with data.locked():
        pass
    with data.locked():
        pass


def test_the_vaults_keys_are_private_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "vault.keys"
    ensure_vault_keys(path, "2026-11-21")
    first = path.read_text()
    ensure_vault_keys(path, "2026-11-22")

    assert path.read_text() == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_directory_of_other_programs_is_refused_and_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    (tmp_path / "letter.txt").touch()
    data = DataDirectory(tmp_path)
    for use in (data.prepare, data.locked().__enter__):
        with pytest.raises(ForeignDirectoryError, match="has files of other programs"):
            use()

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_directory_of_ours_and_a_new_disk_are_not_refused(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    data = DataDirectory(tmp_path)
    with data.locked():
        data.prepare()
    (tmp_path / "notes.txt").touch()
    with data.locked():
        data.prepare()

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o711


@pytest.mark.parametrize("name", [".profile", ".X11-unix", ".ssh"])
def test_a_home_with_only_hidden_files_is_refused(tmp_path: Path, name: str) -> None:
    tmp_path.chmod(0o750)
    (tmp_path / name).mkdir()
    with pytest.raises(ForeignDirectoryError, match="has files of other programs"):
        DataDirectory(tmp_path).prepare()

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o750


@pytest.mark.parametrize(
    "name", ["certificates", "admin.key", "delivery.keys", "workflows.keys", ".initdb-x1", ".snapshot"]
)
def test_a_directory_with_what_was_provided_before_the_first_start_is_taken(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    DataDirectory(tmp_path).prepare()

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o711
