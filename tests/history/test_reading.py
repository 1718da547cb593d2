"""Reading a publisher's CSV: what is forgiven, and what is an error that says where and what to do."""

import gzip
import zipfile
from datetime import date, datetime

import polars as pl
import pytest

from riskmodels.errors import DataError
from riskmodels.history import reading
from riskmodels.history.reading import Field, read_csv, read_whole_csv

FIELDS = {"ID": Field(), "DAY": Field("day"), "AT": Field("instant"), "PAID": Field("number")}
HEADER = b"ID,DAY,AT,PAID\n"
ROW = b"00123,20080131,2008-01-31 14:05:00,1068.00\n"
READ = ("00123", date(2008, 1, 31), datetime(2008, 1, 31, 14, 5), 1068.0)


def _zipped(path, content, names=("x.csv",)):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, content)


@pytest.mark.parametrize(
    "content",
    [
        HEADER + ROW,
        b"\xef\xbb\xbf" + HEADER + ROW,
        (HEADER + ROW).replace(b"\n", b"\r\n"),
        (HEADER + ROW).rstrip(b"\n"),
        b"PAID,extra,id,At,DAY\n1068,x,00123,2008-01-31T14:05:00,2008-01-31\n",
        b'"ID","DAY","AT","PAID"\n"00123"," 20080131 ","2008-01-31 14:05","1068.00"\n',
    ],
    ids=["plain", "BOM", "CRLF", "no last newline", "other order and case", "quoted"],
)
def test_variants_of_csv_read_alike(tmp_path, content):
    """Byte order marks, line ends, quotes and the order and case of columns make no difference."""
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    assert read_whole_csv(path, FIELDS).rows() == [READ]


def test_packed_files_read_like_plain_ones(tmp_path):
    """A .gz and a .zip of one CSV file give the same rows."""
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(HEADER + ROW))
    _zipped(tmp_path / "x.zip", HEADER + ROW, ("folder/x.csv",))
    for name in ("x.csv.gz", "x.zip"):
        assert read_whole_csv(tmp_path / name, FIELDS).rows() == [READ]


def test_blank_cells_are_null_and_optional_columns_may_be_missing(tmp_path):
    """Blanks are null in every type; a column that may be missing is null throughout."""
    path = tmp_path / "x.csv"
    path.write_bytes(HEADER + b"1,,, \n")
    fields = {**FIELDS, "NOTE": Field(optional=True)}
    assert read_whole_csv(path, fields).rows() == [("1", None, None, None, None)]


def test_batches_give_the_rows_of_the_whole(tmp_path):
    """Batches come in the order of the file, none larger than asked for."""
    path = tmp_path / "x.csv"
    path.write_bytes(HEADER + b"".join(b"%d,20080131,2008-01-31,1\n" % i for i in range(1000)))
    batches = list(read_csv(path, FIELDS, batch_rows=300))
    assert max(batch.height for batch in batches) <= 300
    assert pl.concat(batches).equals(read_whole_csv(path, FIELDS))


def test_a_header_without_rows_may_be_allowed(tmp_path):
    """Where rows are not required one batch without rows comes, with the types of the fields."""
    path = tmp_path / "x.csv"
    path.write_bytes(HEADER)
    frame = read_whole_csv(path, FIELDS, rows_required=False)
    assert frame.schema == pl.Schema(
        {"ID": pl.String, "DAY": pl.Date, "AT": pl.Datetime("us"), "PAID": pl.Float64}
    )


MANY = ROW * 5
BAD = {
    "empty": (b"", "the file is empty", None, None),
    "no rows": (HEADER, "a header and no rows", None, None),
    "missing column": (b"ID,DAY,AT,PAYD\n" + ROW, "no column 'PAID'", None, 1),
    "no header": (ROW + ROW, "no column 'ID', 'DAY', 'AT', 'PAID'", None, 1),
    "column twice": (b"ID,DAY,AT,PAID,PAID\n", "twice", "PAID", 1),
    "number": (HEADER + MANY + b"1,20080131,,$5\n", "'$5' is not a number", "PAID", 7),
    "infinite": (HEADER + b"1,20080131,,inf\n", "'inf' is not a number", "PAID", 2),
    "day": (HEADER + MANY + b"1,20080231,,5\n", "'20080231' is not a day", "DAY", 7),
    "instant": (HEADER + b'"1\n2",20080131,noon,5\n', "'noon' is not a time", "AT", 3),
    "too many cells": (HEADER + MANY + b"1,20080131,,5,6\n", "5 cells and the header 4", None, 7),
    "cut short": (HEADER + MANY + b"1,2008", "2 of 4 columns: the file was cut short", None, 7),
    "not UTF-8": (HEADER + ROW + b"\xff\xe9,20080131,,5\n", "not UTF-8", None, 3),
    "open quote": (HEADER + ROW + b'"1,20080131,,5\n' + ROW, "cannot be read as CSV", None, None),
    "semicolons": (b"ID;DAY;AT;PAID\n1;;;\n", "no column", None, 1),
    "PNG": (b"\x89PNG\r\n\x1a\n\x00\x00", "it is a PNG picture", None, None),
    "Parquet": (b"PAR1\x15\x04", "it is a Parquet file", None, None),
    "HTML": (b"\n<!DOCTYPE html><html>", "it is a web page", None, None),
    "gzip": (gzip.compress(HEADER + ROW), "its name should end in .gz", None, None),
    "Excel": (b"PK\x03\x04\x14\x00", "zip archive or an Excel workbook", None, None),
    "UTF-16": ("ID,DAY".encode("utf-16"), "UTF-16", None, None),
    "binary": (b"\x01\x00\x02", "it is not text", None, None),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_error_that_names_the_place(tmp_path, name):
    """The error names the file, and column and line where there is one, and says what to do."""
    content, said, column, line = BAD[name]
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        read_whole_csv(path, FIELDS)
    assert said in error.value.problem
    assert (error.value.file, error.value.column, error.value.line) == (path, column, line)
    assert error.value.fix


@pytest.mark.parametrize(
    ("header", "hint"),
    [
        (b"ID,DAY,AT,PAYD\n", "did you mean 'PAYD'"),
        (b"ID;DAY;AT;PAID\n", "divided by semicolons"),
        (b"a,b\n", "the file has 2 columns with other names"),
    ],
)
def test_a_missing_column_comes_with_advice(tmp_path, header, hint):
    """A near name, another delimiter and another file are told apart."""
    path = tmp_path / "x.csv"
    path.write_bytes(header + b"1\n")
    with pytest.raises(DataError, match=hint):
        read_whole_csv(path, FIELDS)


def test_advice_names_no_column_that_is_there_for_itself(tmp_path):
    """CLM_FROM_DT is not what CLM_ADMSN_DT is called now: it is wanted too, and found."""
    path = tmp_path / "x.csv"
    path.write_bytes(b"CLM_FROM_DT,ADMIT\n20080131,20080131\n")
    with pytest.raises(DataError, match="the file has 2 columns with other names"):
        read_whole_csv(path, {"CLM_FROM_DT": Field(), "CLM_ADMSN_DT": Field()})


@pytest.mark.parametrize("block", [7, 1 << 24], ids=["small blocks", "one block"])
def test_a_line_of_more_cells_is_an_error_where_not_all_columns_are_read(tmp_path, monkeypatch, block):
    """A comma without quotes would move the cells after it; one in quotes, and a line break, are text."""
    monkeypatch.setattr(reading, "BLOCK_BYTES", block)
    path = tmp_path / "x.csv"
    content = b'ID,NOTE,PAID\n1,"a, ""b""\nc,d",5\n2,"",6\n3,x\n'
    path.write_bytes(content + b"4,y,8\n")
    assert read_whole_csv(path, {"ID": Field()})["ID"].to_list() == ["1", "2", "3", "4"]
    path.write_bytes(content + b"4,y,z,8\n5,z,9\n")
    with pytest.raises(DataError, match="the line has 4 cells and the header 3") as error:
        read_whole_csv(path, {"ID": Field()})
    assert error.value.line == 6


def test_a_file_without_header_shows_no_patient(tmp_path):
    """Where the first line is a row, none of its cells is in the message."""
    path = tmp_path / "x.csv"
    path.write_bytes(ROW)
    with pytest.raises(DataError) as error:
        read_whole_csv(path, FIELDS)
    assert "00123" not in str(error.value)


@pytest.mark.parametrize("name", ["x.csv.gz", "x.zip"])
@pytest.mark.parametrize("keep", [0.3, 0.9], ids=["most is missing", "the end is missing"])
def test_a_truncated_archive_is_an_error(tmp_path, name, keep):
    """An archive whose download broke off is not read in part."""
    path = tmp_path / name
    content = HEADER + b"".join(b"%d,20080131,,%d\n" % (i, i * i) for i in range(2000))
    if name.endswith("gz"):
        path.write_bytes(gzip.compress(content))
    else:
        _zipped(path, content)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(DataError, match="cut short or damaged"):
        read_whole_csv(path, FIELDS)


def test_archives_that_are_not_what_they_say(tmp_path):
    """A name that does not fit the contents, and an archive with no or several files, are errors."""
    (tmp_path / "x.csv.gz").write_bytes(HEADER + ROW)
    (tmp_path / "y.zip").write_bytes(HEADER + ROW)
    _zipped(tmp_path / "two.zip", HEADER + ROW, ("a.csv", "b.csv"))
    _zipped(tmp_path / "none.zip", HEADER + ROW, ("a.txt",))
    (tmp_path / "empty.csv.gz").write_bytes(gzip.compress(b""))
    for name, said in (
        ("x.csv.gz", "not a gzip file"),
        ("y.zip", "not a zip file"),
        ("two.zip", "2 CSV files"),
        ("none.zip", "0 CSV files"),
        ("empty.csv.gz", "nothing in the archive"),
        ("missing.csv", "no such file"),
    ):
        with pytest.raises(DataError, match=said):
            read_whole_csv(tmp_path / name, FIELDS)
