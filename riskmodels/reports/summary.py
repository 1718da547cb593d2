"""What a report needs to know of a training and of a payment, as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from riskmodels.errors import DataError, did_you_mean

__all__ = ["PaymentSummary", "TrainingSummary"]


class _Plain:
    """A dataclass that goes to and from plain values."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)  # type: ignore[call-overload]

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Return the summary that `content` describes.

        Raises
        ------
        DataError
            Where a key is unknown or one that is needed is missing.
        """
        known = [f.name for f in fields(cls)]  # type: ignore[arg-type]
        for key in content:
            if key not in known:
                raise DataError(f"{cls.__name__} has no field {key!r}", fix=did_you_mean(key, known))
        try:
            return cls(**content)
        except TypeError as error:
            raise DataError(f"{cls.__name__}: {error}", fix="give every field that is needed") from error


@dataclass(frozen=True)
class TrainingSummary(_Plain):
    """What was learned from whom.

    Parameters
    ----------
    task, title : str
        The task's name, and what people call it: ``"Unplanned readmission within 30 days"``.
    outcome : str
        The outcome as it stands after "had": ``"an unplanned readmission within 30 days"``.
    n_rows, n_patients, n_events : int
        Cases, patients, and cases with the outcome, over all splits.
    model_name, model_version, model_kind : str
        As registered, and what it is: ``"LightGBM, isotonic calibration"``.
    unit : str
        What a case is, in the plural.
    source_format : str
        Where the data come from: ``"CMS DE-SynPUF"``, ``"simulated"``.
    data_fingerprint : str
        Of the history's content.
    first_date, last_date, as_of, created : str
        ISO dates: first and last case, the date the history was known at, when the model was trained.
    attrition : sequence of mapping
        ``step`` and ``stays`` (remaining after the step), in order.
    splits : sequence of mapping
        ``name``, ``rows``, ``patients`` and ``events`` of each split.
    features : sequence of mapping
        ``name``, ``label``, ``role`` and ``kind`` of each feature.
    parameters, versions : mapping
        Of the model, and of the software.
    limitations : sequence of str
        What a reader must know before using the model, beside what every report says.
    """

    task: str
    title: str
    outcome: str
    n_rows: int
    n_patients: int
    n_events: int
    model_name: str = ""
    model_version: str = ""
    model_kind: str = ""
    unit: str = "index discharges"
    source_format: str = ""
    data_fingerprint: str = ""
    first_date: str = ""
    last_date: str = ""
    as_of: str = ""
    created: str = ""
    attrition: Sequence[Mapping[str, Any]] = ()
    splits: Sequence[Mapping[str, Any]] = ()
    features: Sequence[Mapping[str, Any]] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    limitations: Sequence[str] = ()


@dataclass(frozen=True)
class PaymentSummary(_Plain):
    """Which rules a payment followed.

    Parameters
    ----------
    title : str
        The program and its year.
    rules : sequence of mapping
        ``name``, ``value``, ``source`` and ``verified`` of each parameter that was used.
    notes : sequence of str
        What a reader should know about the inputs.
    dollars_lower, dollars_upper : float, optional
        Interval of the dollars at stake over all hospitals together. It cannot be added up from theirs.
    """

    title: str
    rules: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()
    dollars_lower: float | None = None
    dollars_upper: float | None = None
