"""Adapters from publishers' files to the tables of a history."""

from importlib import import_module

from riskmodels.errors import DataError, did_you_mean
from riskmodels.history.adapters.base import Adapter, SourceFile

__all__ = ["FORMATS", "OF_TABLES", "Adapter", "SourceFile", "get_adapter"]

# Name on the command line -> module; each module has a function `adapter`.
FORMATS = {
    "desynpuf": "desynpuf",
    "mimic-iv": "mimic_iv",
    "mimic-iii": "mimic_iii",
    "cclf": "cclf",
    "tuva": "tuva",
    "synthea": "synthea",
    "omop": "omop",
    "fhir": "fhir",
    "meds": "meds",
}


OF_TABLES = ("omop", "tuva", "synthea", "cclf")  # what a database may hold as well as files


def get_adapter(name: str) -> Adapter:
    """Return the adapter of a format.

    Raises
    ------
    DataError
        If there is no such format.
    """
    if name not in FORMATS:
        raise DataError(f"there is no format {name!r}. {did_you_mean(name, FORMATS)}")
    adapter: Adapter = import_module(f"{__name__}.{FORMATS[name]}").adapter()
    return adapter
