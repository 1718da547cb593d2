"""Code groupers: what a diagnosis or procedure code means.

Every room may ask this one; it imports from none.
"""

from riskmodels.terminology.grouper import Grouper, load_grouper

__all__ = ["Grouper", "load_grouper"]
