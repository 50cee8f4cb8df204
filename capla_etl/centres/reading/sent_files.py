"""The files of a submission by name; a .zip is a folder of the files in it, called ``archive.zip/member.csv``.

What does not belong here: which file is which table (read.py).
"""

import fnmatch
import re
import stat
import unicodedata
import zipfile
from dataclasses import dataclass
from pathlib import Path

from capla_etl.centres.errors import listed, place_of
from capla_etl.centres.files import place, problem_with, shown
from capla_etl.centres.limits import MOST_FILE_BYTES
from capla_etl.centres.reading.formats import Unreadable
from capla_etl.centres.reading.formats.unpack import DAMAGED_ZIP, check_members, check_unpacked

#: The bit of a member of an archive that says that its name is in UTF-8.
_MARK_OF_UTF_8 = 0x800
#: Chinese and Japanese letters and signs, never one alone beside a Latin letter: "K人n" is "Köln" read wrongly.
_EAST = r"[\u3001-\u30ff\u4e00-\u9fff\uff01-\uff5e]"
_ALONE = rf"[a-zA-Z]{_EAST}(?!{_EAST})|(?<!{_EAST}){_EAST}[a-zA-Z]"
_EASTERN = re.compile(rf"(?!.*(?:{_ALONE}))(?:[ -~]|{_EAST})*")
_WESTERN = re.compile(r"[ -~\xa0\xc0-\u024f]*")
#: Encodings of names that do not say theirs, and the names that are plausible in each.
_NAME_ENCODINGS = [
    ("utf-8", re.compile(r".*", re.DOTALL)),
    ("cp932", _EASTERN),
    ("gb18030", _EASTERN),
    ("cp437", _WESTERN),
    ("cp1252", _WESTERN),
]


@dataclass(frozen=True)
class SentFile:
    """A file, or a member of an archive; ``name`` in Unicode NFC.

    ``place``: what messages call it unless the spec declares it, since a name may be a patient's.
    """

    name: str
    path: Path
    member: zipfile.ZipInfo | None = None
    number: tuple[int, int] = (1, 1)

    @property
    def place(self) -> str:
        """The file by its place, without its name."""
        if self.member is None:
            return place(self.path)
        return f"{place(self.path)}, {place_of(*self.number, 'member', self.name)}"

    def content(self) -> bytes:
        """The bytes of the file.

        Raises:
            Unreadable: a member that is encrypted, damaged, too large or an archive itself.
            OSError: the file cannot be opened.
        """
        if self.member is None:
            if problem := problem_with(self.path, MOST_FILE_BYTES):
                raise Unreadable(problem)
            return self.path.read_bytes()
        if self.name.lower().endswith(".zip"):
            raise Unreadable(
                "an archive inside an archive; expected the files themselves. Ask the centre to unpack it."
            )
        if self.member.flag_bits & 1:
            raise Unreadable(
                "the file is encrypted (protected by a password); ask the centre to send it without one, by a safe way."
            )
        if stat.S_ISLNK(self.member.external_attr >> 16):
            raise Unreadable("a link; expected the file itself. Ask the centre to make the archive with the files.")
        check_unpacked(self.member.file_size, self.member.compress_size)
        try:
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(self.member)
        except NotImplementedError as error:
            advice = "ask the centre to make the archive with standard compression."
            raise Unreadable(f"compressed in a way that is not known here; {advice}") from error
        except DAMAGED_ZIP as error:
            raise Unreadable("damaged inside its archive; ask the centre to send the archive again.") from error


def sent_files(path: Path) -> list[SentFile]:
    """One file of a submission, or the files of an archive, without what macOS and Office add.

    Raises:
        Unreadable: a damaged archive, an empty one, or two members of one name.
    """
    if path.suffix.lower() != ".zip" or not path.is_file():
        return [SentFile(sent_name(path), path)]
    return archive_members(path)


def archive_members(path: Path) -> list[SentFile]:
    """The files of an archive, without what macOS and Office add.

    Raises:
        Unreadable: a damaged archive, an empty one, or two members of one name.
    """
    name = sent_name(path)
    if problem := problem_with(path, MOST_FILE_BYTES):
        raise Unreadable(problem)
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
    except DAMAGED_ZIP as error:
        raise Unreadable("not a complete zip archive; ask the centre to send it again.") from error
    check_members(members)
    found = {}
    for member in members:
        inside = member_name(member)
        if inside.startswith("__MACOSX/") or inside.rsplit("/", 1)[-1].startswith((".", "~$")):
            continue
        if inside in found:
            twice = place_of(members.index(member) + 1, len(members), "member", inside)
            raise Unreadable(f"the archive holds {twice} more than once; ask the centre to send it again.")
        found[inside] = SentFile(f"{name}/{inside}", path, member, (members.index(member) + 1, len(members)))
    if not found:
        raise Unreadable("the archive holds no file; ask the centre to send it again.")
    return list(found.values())


def sent_name(path: Path) -> str:
    """The name of a file as tables and messages give it."""
    return unicodedata.normalize("NFC", shown(path.name))


def member_name(member: zipfile.ZipInfo) -> str:
    """The name of a file in an archive, in Unicode NFC.

    A name without the mark of UTF-8 is in the encoding of the computer that wrote it, which the archive does not say;
    it is the first one that gives a plausible name.
    """
    name = member.orig_filename
    if not member.flag_bits & _MARK_OF_UTF_8 and not name.isascii():
        written = name.encode("cp437")
        decoded = (_decoded(written, encoding, plausible) for encoding, plausible in _NAME_ENCODINGS)
        name = next(filter(None, decoded), name)
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


def _decoded(written: bytes, encoding: str, plausible: re.Pattern) -> str | None:
    try:
        name = written.decode(encoding)
    except UnicodeDecodeError:
        return None
    return name if plausible.fullmatch(name) else None


def fits(name: str, pattern: str) -> bool:
    """Whether a name fits a file name or glob of the spec; the parts before and in an archive each by themselves."""
    own, inside = name.partition("/")[::2]
    pattern_own, pattern_inside = unicodedata.normalize("NFC", pattern).partition("/")[::2]
    return fnmatch.fnmatchcase(own, pattern_own) and fnmatch.fnmatchcase(inside, pattern_inside)


def sent_in(file: str) -> tuple[str, str]:
    """Folder of an earlier submission (empty for the current one) and name, of a file as the tables call it."""
    folder, name = re.fullmatch(r"(?:(\d{4}-\d{2}-\d{2})/)?(.*)", file, re.DOTALL).groups(default="")
    return folder, name


def find_file(files: list[SentFile], pattern: str) -> SentFile:
    """The one file that a spec's file name (or glob) fits.

    Raises:
        Unreadable: there is none, or several.
    """
    matches = [file for file in files if fits(file.name, pattern)]
    if not matches:
        raise Unreadable(f"file {pattern!r} is missing; the submission has {len(files)} other file(s).")
    if len(matches) > 1:
        raise Unreadable(f"{pattern!r} fits several files: {listed(file.place for file in matches)}; expected one.")
    return matches[0]
