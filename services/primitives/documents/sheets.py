"""Workbooks (xlsx): the values that the program last showed, by sheet; a few far cells cost no memory."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from services.primitives.documents.archive import Archive
from services.primitives.documents.extracted import HIDDEN_TEXT, MAX_CELLS, MAX_COLUMNS, MAX_TEXT, Extracted
from services.primitives.documents.office import read_facts, relations
from services.primitives.documents.xml import Event, events

MAIN = "xl/workbook.xml"
_STRINGS, _STYLES = "xl/sharedStrings.xml", "xl/styles.xml"
# ECMA-376 18.8.30: numbers of formats that show a date or a time.
_DATES = frozenset((*range(14, 23), *range(45, 48)))
_LITERAL = re.compile(r'"[^"]{0,200}"|\[[^\]]{0,200}\]|\\.')
_REFERENCE = re.compile(r"([A-Z]{1,3})\d{1,7}")
_FIRST_DAY = datetime(1899, 12, 30)  # noqa: DTZ001 - a sheet names no zone
_LAST_DAY = 2_958_465
# ECMA-376 18.17.4.1: workbooks of the other date system count from 1904-01-01.
_DAYS_TO_1904 = 1_462
_MAX_SHEET_COLUMNS = 16_384
_ON = ("1", "true")


def read_sheets(archive: Archive, extracted: Extracted) -> None:
    """Read a workbook."""
    read_facts(archive, extracted)
    places = relations(archive, MAIN)
    book = _Book(_strings(archive), _date_styles(archive))
    for event in events(archive.chunks(MAIN)):
        if event.kind == "begin" and event.name == "workbookPr" and event.get("date1904") in _ON:
            book.first_day = _DAYS_TO_1904
        if event.kind != "begin" or event.name != "sheet":
            continue
        place = places.get(event.relation, ("", ""))[1]
        if event.get("state") in ("hidden", "veryHidden"):
            extracted.flags.add(HIDDEN_TEXT)
        elif place in archive:
            with extracted.page(event.get("name")):
                book.read(events(archive.chunks(place)), extracted)


def _strings(archive: Archive) -> list[str]:
    """Read the table of strings, without the readings of Japanese words beside them."""
    strings: list[str] = []
    parts: list[str] = []
    is_text, is_reading, left = False, False, 4 * MAX_TEXT
    for event in events(archive.chunks(_STRINGS)) if _STRINGS in archive else ():
        if event.kind == "text":
            if is_text and not is_reading:
                parts.append(event.name)
            continue
        is_text = event.kind == "begin" and event.name == "t"
        if event.name == "rPh":
            is_reading = event.kind == "begin"
        if event.name == "si" and event.kind == "end":
            left -= len(text := "".join(parts))
            strings.append(text if left > 0 else "")
            parts = []
    return strings


def _date_styles(archive: Archive) -> list[bool]:
    own: set[str] = set()
    styles: list[bool] = []
    is_cell = False
    for event in events(archive.chunks(_STYLES)) if _STYLES in archive else ():
        if event.name == "cellXfs":
            is_cell = event.kind == "begin"
        elif event.kind == "begin" and event.name == "numFmt":
            if re.search("[ymdhs]", _LITERAL.sub("", event.get("formatCode")[:500]).lower()):
                own.add(event.get("numFmtId"))
        elif event.kind == "begin" and event.name == "xf" and is_cell:
            number = event.get("numFmtId")
            styles.append(number in own or (number.isdecimal() and len(number) < 9 and int(number) in _DATES))  # noqa: PLR2004
    return styles


class _Book:
    def __init__(self, strings: list[str], dates: list[bool]) -> None:
        self._strings, self._dates = strings, dates
        self.first_day = 0
        self._hidden = bytearray()

    def read(self, sheet: Iterator[Event], extracted: Extracted) -> None:
        rows: list[list[str]] = []
        row: list[str] = []
        cell, value, is_hidden, cells = Event("", "", {}), [], False, 0
        wanted = False
        self._hidden = bytearray(_MAX_SHEET_COLUMNS)
        for event in self._after_columns(sheet):
            if event.kind == "text":
                value += [event.name] if wanted else []
                continue
            wanted = event.kind == "begin" and event.name in ("v", "t")
            if event.kind == "begin" and event.name == "row":
                row, is_hidden = [], event.get("hidden") in _ON
            elif event.kind == "begin" and event.name == "c":
                cell, value = event, []
            elif event.kind == "end" and event.name == "c" and value:
                self._put(row, cell, "".join(value), extracted)
            elif event.kind == "end" and event.name == "row" and any(row):
                if is_hidden:
                    extracted.flags.add(HIDDEN_TEXT)
                    continue
                extracted.line("\t".join(row).rstrip("\t"))
                cells += len(row)
                if cells <= MAX_CELLS:
                    rows.append(row)
                extracted.answer.are_tables_cut |= cells > MAX_CELLS
                if extracted.is_full:
                    extracted.answer.is_text_cut = True
                    break
        extracted.table(rows)

    def _put(self, row: list[str], cell: Event, value: str, extracted: Extracted) -> None:
        column = _column(cell.get("r"), len(row))
        if column < _MAX_SHEET_COLUMNS and self._hidden[column]:
            extracted.flags.add(HIDDEN_TEXT)
            return
        if column >= MAX_COLUMNS:  # a cell far to the right stands behind the others
            extracted.answer.are_tables_cut = True
            column = len(row)
        if column < 2 * MAX_COLUMNS:
            row += [""] * (column + 1 - len(row))
            row[column] = self._shown(cell, value)

    def _after_columns(self, sheet: Iterator[Event]) -> Iterator[Event]:
        """Read the columns, which stand before the rows; yield the rest."""
        for event in sheet:
            if event.name == "col" and event.kind == "begin" and event.get("hidden") in _ON:
                self._hide(event)
            elif event.name == "sheetData":
                break
        yield from sheet

    def _hide(self, columns: Event) -> None:
        first, last = columns.get("min"), columns.get("max")
        if first.isdecimal() and last.isdecimal() and max(len(first), len(last)) < 9:  # noqa: PLR2004
            begin, end = max(int(first) - 1, 0), min(int(last), _MAX_SHEET_COLUMNS)
            self._hidden[begin:end] = b"\1" * max(end - begin, 0)

    def _shown(self, cell: Event, value: str) -> str:
        kind = cell.get("t")
        if kind == "s":
            place = int(value) if value.isdecimal() and len(value) < 9 else len(self._strings)  # noqa: PLR2004
            return self._strings[place] if place < len(self._strings) else ""
        if kind == "b":
            return "TRUE" if value == "1" else "FALSE"
        style = cell.get("s")
        is_date = style.isdecimal() and len(style) < 9 and int(style) < len(self._dates) and self._dates[int(style)]  # noqa: PLR2004
        return _date(value, self.first_day) if is_date and kind in ("", "n") else value


def _column(reference: str, usual: int) -> int:
    found = _REFERENCE.fullmatch(reference)
    if not found:
        return usual
    number = 0
    for letter in found[1]:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _date(value: str, first_day: int) -> str:
    try:
        days = float(value)
    except ValueError:
        return value
    if not 0 <= days <= _LAST_DAY - first_day:
        return value
    moment = _FIRST_DAY + timedelta(seconds=round((days + first_day) * 86_400))
    if days < 1:
        return moment.time().isoformat()
    return moment.date().isoformat() if days == int(days) else moment.isoformat()
