"""Backups that are incomplete, changed or sealed with another key are refused before anything is written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stack.backup import sealed
from stack.backup.cluster import major_version
from stack.backup.manifest import CLUSTER, MANIFEST, SECRETS, BackupError, Manifest, digest_of
from stack.backup.restore import UNPACKED, UNPACKING, is_to_be_settled, restore_backup
from stack.backup.take import take_backup
from stack.data_directory import DataDirectory
from stack.errors import ForeignDirectoryError
from stack.ready import Ready

EXISTING = {"DATABASE_URL": "postgresql://elsewhere/mailmesh"}


@pytest.fixture
def key(tmp_path: Path) -> bytes:
    sealed.make_backup_key(tmp_path / "backup.key")
    return sealed.read_backup_key(tmp_path / "backup.key")


@pytest.fixture
def folder(tmp_path: Path, key: bytes) -> Path:
    """A backup of an installation whose database is elsewhere, but for one file in the database's place."""
    data = DataDirectory(tmp_path / "data")
    data.prepare()
    data.vault_keys.write_text("the vault's keys")
    (data.root / "certificates").mkdir()
    (data.root / "certificates" / "ca.key").write_text("the authority's key")
    made = tmp_path / "backup"
    (made / CLUSTER).mkdir(parents=True)
    (made / CLUSTER / "base.tar.gz").write_bytes(b"base")
    files = {f"{CLUSTER}/base.tar.gz": digest_of(made / CLUSTER / "base.tar.gz")}
    manifest = Manifest(created_at="2026-11-27T12:00:00+00:00", release="0.2.0", postgres_major=0, files=files)
    sealed.seal(made, sealed.collect(data), key, manifest.bound())
    (made / MANIFEST).write_text(manifest.model_dump_json())
    return made


def restored(tmp_path: Path, folder: Path, key: bytes) -> DataDirectory:
    data = DataDirectory(tmp_path / "restored")
    restore_backup(data, folder, key, EXISTING)
    return data


def test_the_secrets_come_back_for_their_owner_only(tmp_path: Path, folder: Path, key: bytes) -> None:
    data = restored(tmp_path, folder, key)

    authority = data.root / "certificates" / "ca.key"
    assert ("the vault's keys", "the authority's key") == (data.vault_keys.read_text(), authority.read_text())
    assert [0o600, 0o600] == [path.stat().st_mode & 0o777 for path in (data.vault_keys, authority)]
    assert is_to_be_settled(data, {})


def test_no_secret_is_readable_in_a_backup(folder: Path) -> None:
    everything = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())

    assert [] == [word for word in (b"vault's", b"authority's", b"vault.keys") if word in everything]


@pytest.mark.parametrize("name", [SECRETS, f"{CLUSTER}/base.tar.gz"])
@pytest.mark.parametrize("change", ["altered", "missing"])
def test_a_changed_file_is_refused_and_nothing_is_written(
    tmp_path: Path, folder: Path, key: bytes, name: str, change: str
) -> None:
    path = folder / name
    if change == "missing":
        path.unlink()
    else:
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))

    with pytest.raises(BackupError):
        restored(tmp_path, folder, key)
    assert not (tmp_path / "restored").exists()


def test_another_database_under_a_fitting_manifest_is_refused(tmp_path: Path, folder: Path, key: bytes) -> None:
    path = folder / CLUSTER / "base.tar.gz"
    path.write_bytes(b"another database")
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"] = {f"{CLUSTER}/base.tar.gz": digest_of(path)}
    (folder / MANIFEST).write_text(json.dumps(manifest))

    with pytest.raises(BackupError, match="does not open this backup"):
        restored(tmp_path, folder, key)


HEAD = '{"format": 1, "created_at": "2026-11-27T12:00:00+00:00", "release": "1", "postgres_major": 18, "files": '
MANIFESTS = {
    "empty": "",
    "a list": "[]",
    "cut": HEAD,
    "of a later release": '{"format": 2}',
    "long": "x" * 70_000,
    "with a path outside": HEAD + '{"../../etc/passwd": "00"}}',
}


@pytest.mark.parametrize("manifest", MANIFESTS.values(), ids=MANIFESTS)
def test_a_hostile_manifest_is_refused(tmp_path: Path, folder: Path, key: bytes, manifest: str) -> None:
    (folder / MANIFEST).write_text(manifest)

    with pytest.raises(BackupError):
        restored(tmp_path, folder, key)


@pytest.mark.parametrize("text", ["", "short", "bm90IGEga2V5", "é" * 40])
def test_a_file_without_a_key_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "key").write_text(text)

    with pytest.raises(BackupError, match="no backup key"):
        sealed.read_backup_key(tmp_path / "key")


def test_a_missing_key_is_not_made_by_a_restore(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="does not exist"):
        sealed.read_backup_key(tmp_path / "key")
    assert not (tmp_path / "key").exists()


def back_up(tmp_path: Path, name: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run `mailmesh backup` for an installation whose database is elsewhere."""
    data, key = tmp_path / "running", tmp_path / "new.key"
    data.mkdir(exist_ok=True)
    addresses = {"http": "http://127.0.0.1:1", "grpc": "127.0.0.1:1", "public_url": ""}
    files = {"ca_file": data, "admin_key_file": data, "log_folder": data, "supervisor": data / "run" / "door"}
    Ready.model_validate(addresses | files).write(DataDirectory(data).ready_file)
    command = (sys.executable, "-m", "stack", "--data", str(data), "backup", str(tmp_path / name))
    arguments = (*command, "--backup-key", str(key), *words)
    return subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)


def test_a_key_is_made_only_when_the_operator_asks_for_one(tmp_path: Path) -> None:
    key = tmp_path / "new.key"

    refused = back_up(tmp_path, "first")
    assert (1, False, False) == (refused.returncode, key.exists(), (tmp_path / "first").exists()), refused.stderr
    assert "--new-key" in refused.stderr
    assert 0 == back_up(tmp_path, "second", "--new-key").returncode
    made = key.read_bytes()
    assert 0 == back_up(tmp_path, "third").returncode
    again = back_up(tmp_path, "fourth", "--new-key")
    assert (1, made) == (again.returncode, key.read_bytes())
    assert "exists already" in again.stderr


def test_a_key_that_others_can_read_is_named(tmp_path: Path, folder: Path) -> None:
    key = tmp_path / "backup.key"
    words = ("restore", str(folder), "--backup-key", str(key))
    said = {}
    for mode in (0o600, 0o644):
        key.chmod(mode)
        command = (sys.executable, "-m", "stack", "--data", str(tmp_path / f"{mode:o}"), *words)
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=True, env={**os.environ, **EXISTING}
        )
        said[mode] = "can be read by others (mode 644)" in ended.stderr

    assert {0o600: False, 0o644: True} == said


def test_a_directory_with_an_installation_is_refused(tmp_path: Path, folder: Path, key: bytes) -> None:
    restored(tmp_path, folder, key)

    with pytest.raises(BackupError, match="installation already"):
        restored(tmp_path, folder, key)


def test_an_interrupted_restore_is_refused_by_a_start_and_repeated(tmp_path: Path, folder: Path, key: bytes) -> None:
    data = restored(tmp_path, folder, key)
    data.restored.write_text(UNPACKING)
    with pytest.raises(BackupError, match="interrupted"):
        is_to_be_settled(data, {})

    restored(tmp_path, folder, key)

    assert data.restored.read_text() == UNPACKED


def test_a_backup_without_its_database_needs_an_existing_server(tmp_path: Path, folder: Path, key: bytes) -> None:
    with pytest.raises(BackupError, match="name that by DATABASE_URL"):
        restore_backup(DataDirectory(tmp_path / "restored"), folder, key, {})


def test_a_backup_with_its_database_is_not_restored_beside_another(tmp_path: Path, folder: Path, key: bytes) -> None:
    before = Manifest.read(folder)
    with_database = before.model_copy(update={"postgres_major": major_version()})
    sealed.seal(folder, sealed.unseal(folder, key, before.bound()), key, with_database.bound())
    (folder / MANIFEST).write_text(with_database.model_dump_json())

    with pytest.raises(BackupError, match="unset DATABASE_URL"):
        restored(tmp_path, folder, key)
    assert not (tmp_path / "restored").exists()


def test_a_start_does_not_settle_another_database(tmp_path: Path, folder: Path, key: bytes) -> None:
    data = restored(tmp_path, folder, key)
    assert is_to_be_settled(data, EXISTING)
    data.postgres.mkdir()

    with pytest.raises(BackupError, match="unset DATABASE_URL"):
        is_to_be_settled(data, EXISTING)
    assert is_to_be_settled(data, {})


def test_no_other_user_can_read_the_sealed_secrets(folder: Path) -> None:
    assert (folder / SECRETS).stat().st_mode & 0o777 == 0o600


def test_a_backup_inside_the_data_directory_is_refused(tmp_path: Path, key: bytes) -> None:
    data = DataDirectory(tmp_path / "data")
    data.prepare()
    inside = data.root / "backups" / "first"
    ready = Ready.model_construct(processes={})
    with pytest.raises(BackupError, match="is inside the data directory"):
        take_backup(data, ready, inside, key, 60.0)

    assert not inside.exists()


def test_a_restore_over_files_of_other_programs_is_refused(tmp_path: Path, folder: Path, key: bytes) -> None:
    home = tmp_path / "restored"
    home.mkdir(mode=0o700)
    (home / "letter.txt").touch()
    with pytest.raises(ForeignDirectoryError, match="has files of other programs"):
        restored(tmp_path, folder, key)

    assert ["letter.txt"] == [path.name for path in home.iterdir()]
