"""Files of nanozk behind objects."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any, Callable, ClassVar, Optional, TypeVar, Union

from nanozk import _native
from nanozk.errors import Error

#: A path, as text or as an object.
AnyPath = Union[str, "os.PathLike[str]"]
_T = TypeVar("_T", bound="File")


class Scratch:
    """A directory for the user alone, which goes when nothing refers to it any more."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="nanozk-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def call(self, function: Callable[..., tuple[str, str]], *arguments: object) -> tuple[str, str]:
        """Call the library; where it speaks of files in this directory, the directory is left out."""
        place = f"{self.path}{os.sep}"
        try:
            json, text = function(*arguments)
        except Error as error:
            error.args = tuple(str(part).replace(place, "") for part in error.args)
            raise
        return json.replace(place, ""), text.replace(place, "")

    def __reduce__(self) -> Any:
        raise TypeError("temporary files cannot be pickled; save the object and load it again")


class File:
    """An object that is one file.

    Objects that were loaded, or made without ``out=``, have a private copy, which goes with the object.
    """

    _NAME: ClassVar[str]

    def __init__(self, path: Path, scratch: Optional[Scratch] = None) -> None:
        self._path, self._scratch = path, scratch
        self._check(path)

    @staticmethod
    def _check(path: Path) -> None:
        """Refuses a file of another kind."""

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._path

    @classmethod
    def load(cls: type[_T], path: AnyPath) -> _T:
        """Read a file.

        Parameters
        ----------
        path : path-like
            A file that ``save``, ``out=`` or the command line wrote.

        Raises
        ------
        FileError
            When it cannot be read, or is of another kind or version.
        """
        cls._check(Path(path))
        return cls.from_bytes(_native.read(path))

    @classmethod
    def from_bytes(cls: type[_T], data: bytes) -> _T:
        """Make the object from the bytes of its file."""
        scratch = Scratch()
        path = scratch.path / cls._NAME
        _native.write(path, bytes(data), True)
        return cls(path, scratch)

    def to_bytes(self) -> bytes:
        """The bytes of the file."""
        return _native.read(self._path)

    def save(self, path: AnyPath) -> None:
        """Write the file, whole or not at all."""
        _native.write(path, self.to_bytes(), False)

    def __bytes__(self) -> bytes:
        return self.to_bytes()

    def __reduce__(self) -> Any:
        return type(self).from_bytes, (self.to_bytes(),)


def place(out: Optional[AnyPath], name: str) -> tuple[Path, Optional[Scratch]]:
    """Where to write: ``out``, or ``name`` in a new directory."""
    if out is not None:
        return Path(out), None
    scratch = Scratch()
    return scratch.path / name, scratch


def file_of(value: Union[File, AnyPath]) -> Path:
    """The file of an object, or the one that is named."""
    return value.path if isinstance(value, File) else Path(value)
