"""Split cases so that no patient is on both sides, and so that tomorrow is not used to predict yesterday."""

import hashlib
import math
from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from riskmodels.errors import DataError, SpecError, did_you_mean

__all__ = ["folds_by_patient", "patient_position", "split_by_patient", "split_by_time"]


def patient_position(person_id: pl.Series, seed: int = 0) -> pl.Series:
    """Return a number in [0, 1) for each patient that depends on the id and the seed alone.

    It is BLAKE2b of both, so that it is the same on every machine, in every version and in every subset of
    the patients: a patient who was held out stays held out when the data grow.
    """
    distinct = person_id.cast(pl.String).unique().drop_nulls()
    key = str(seed).encode()
    digests = b"".join(
        hashlib.blake2b(name.encode(), digest_size=8, key=key).digest() for name in distinct.to_list()
    )
    # 53 bits are what a double holds exactly, so that the largest value stays below 1.
    position = (np.frombuffer(digests, dtype=">u8") >> np.uint64(11)) / 2.0**53
    return person_id.cast(pl.String).replace_strict(
        distinct, pl.Series(position.astype(np.float64)), default=None, return_dtype=pl.Float64
    )


def split_by_patient(cases: Any, fractions: Mapping[str, float], seed: int = 0) -> pl.Series:
    """Give each case the name of a part; all cases of a patient go to the same one.

    Parameters
    ----------
    cases : frame with person_id
        pandas, Polars or Arrow.
    fractions : dict of str to float
        The share of patients in each part: ``{"train": 0.6, "valid": 0.1, "calibrate": 0.1, "test": 0.2}``.
    seed : int
        Another seed is another split.

    Returns
    -------
    Series of str, one per case

    Raises
    ------
    SpecError
        There is no part, or the shares do not add up to 1.
    """
    if not fractions or any(share <= 0 for share in fractions.values()):
        raise SpecError(
            f"fractions must name at least one part, each with a share above 0; got {dict(fractions)}."
        )
    total = math.fsum(fractions.values())
    if not math.isclose(total, 1, abs_tol=1e-9):
        raise SpecError(f"fractions must add up to 1; {dict(fractions)} adds up to {total:g}.")
    edges = np.cumsum(list(fractions.values()))[:-1]
    position = patient_position(_person_ids(cases), seed)
    names = np.array(list(fractions), dtype=object)
    return pl.Series(
        "split", names[np.searchsorted(edges, position.to_numpy(), side="right")], dtype=pl.String
    )


def folds_by_patient(cases: Any, k: int, seed: int = 0) -> pl.Series:
    """Give each case a fold from 0 to k - 1; all cases of a patient go to the same one.

    Parameters
    ----------
    cases : frame with person_id
        pandas, Polars or Arrow.
    k : int
        Number of folds, at least 2.

    Raises
    ------
    SpecError
        `k` is below 2.
    """
    if k < 2:
        raise SpecError(f"k must be at least 2; got {k}.")
    position = patient_position(_person_ids(cases), seed)
    return (position * k).floor().cast(pl.Int32).alias("fold")


def split_by_time(cases: Any, cutoff: date | datetime, *, new_patients_only: bool = False) -> pl.Series:
    """Split at an instant: ``train`` before it, ``test`` from it on.

    A case belongs to ``train`` only if its follow-up had ended by the cutoff: at that time, nobody could
    have known the label of the others. Those are null and belong to neither part.

    Parameters
    ----------
    cases : frame with person_id, index_time, follow_up_end
        pandas, Polars or Arrow.
    cutoff : date or datetime
        A date is its midnight.
    new_patients_only : bool
        Leave patients who are in ``train`` out of ``test``.

    Returns
    -------
    Series of str, one per case
    """
    instant = cutoff if isinstance(cutoff, datetime) else datetime.combine(cutoff, time())
    frame = pl.DataFrame(
        {name: _column(cases, name) for name in ("person_id", "index_time", "follow_up_end")}
    )
    known = (pl.col("index_time") < instant) & (pl.col("follow_up_end") <= instant)
    part = pl.when(pl.col("index_time") >= instant).then(pl.lit("test")).when(known).then(pl.lit("train"))
    split = frame.select("person_id", split=part)
    if new_patients_only:
        seen = (pl.col("split") == "train").any().over("person_id")
        split = split.with_columns(split=pl.when(~(seen & (pl.col("split") == "test"))).then("split"))
    return split["split"]


def _person_ids(cases: Any) -> pl.Series:
    ids = _column(cases, "person_id")
    if ids.null_count():
        raise DataError(
            f"{ids.null_count()} of {len(ids)} cases have no person_id, so that they belong to no patient.",
            column="person_id",
            fix="give every case the identifier of its patient",
        )
    return ids


def _column(cases: Any, name: str) -> pl.Series:
    frame = nw.from_native(cases, eager_only=True)
    if name not in frame.columns:
        raise DataError(f"cases have no column {name!r}. {did_you_mean(name, frame.columns)}")
    return frame.get_column(name).to_polars()
