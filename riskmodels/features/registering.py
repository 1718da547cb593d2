"""Aggregations of your own: one function that takes in a row, and one specification."""

import inspect
import warnings
from collections.abc import Callable
from typing import Any as AnyValue
from typing import TypeVar

import numpy as np
from numba import njit, types
from numba.core.errors import NumbaError, NumbaExperimentalFeatureWarning

from riskmodels.errors import SpecError
from riskmodels.features.spec import SPECS, LookBack
from riskmodels.features.windows import AGGREGATIONS, BUILT_IN, WIDTH

__all__ = ["functions_for", "register_aggregation"]

Take = Callable[[AnyValue, float, float], None]
Specification = TypeVar("Specification", bound=type[LookBack])

_SIGNATURE = types.void(types.float64[::1], types.float64, types.float64)
_FUNCTIONS: list[AnyValue] = []  # by their number less BUILT_IN


def register_aggregation(take: Take) -> Callable[[Specification], Specification]:
    """Let the kernel call a function of yours for the rows of a specification of yours.

    Use it as a decorator of the specification, in a module that is imported wherever the features are built
    or a stored model with them is loaded.

    Parameters
    ----------
    take : function of (state, age, value)
        Takes in one row, the latest first. ``state`` has six places, all 0 before the first row;
        ``state[0]`` is what the column shall hold. ``age`` is the time from the row to the anchor in days,
        ``value`` the row's value (rows without one are left out), 0 where the specification has no options.
        It is compiled by Numba: arithmetic and NumPy's functions of numbers, nothing of Python beside.

    Raises
    ------
    SpecError
        The name is taken, the function does not take these three, or it cannot be compiled.

    Examples
    --------
    >>> from riskmodels.features import Encounters, LookBack, register_aggregation
    >>> def latest_age(state, age, value):
    ...     if state[1] == 0.0:
    ...         state[0], state[1] = age / 7.0, 1.0
    >>> @register_aggregation(latest_age)
    ... class WeeksSince(LookBack):
    ...     aggregation = "weeks_since"
    ...     absent = float("nan")
    ...     needs_age = True
    ...     phrase = "Weeks since the last "
    >>> WeeksSince(Encounters("inpatient"), "365d").stem
    'weeks_since_inpatient'
    """

    def register(cls: Specification) -> Specification:
        name = cls.aggregation
        known = SPECS.get(name)
        if not name or not name.isidentifier():
            raise SpecError(f"{cls.__name__}.aggregation is {name!r}: give it a name such as 'streak'.")
        if known is not None and (name not in _OWN or _path(known) != _path(cls)):
            raise SpecError(f"There is an aggregation {name!r} already: choose another name.")
        compiled = _compile(take, name)
        if known is None:
            AGGREGATIONS[name] = BUILT_IN + len(_FUNCTIONS)
            _FUNCTIONS.append(compiled)
            _OWN.add(name)
        else:  # its module was loaded again
            _FUNCTIONS[AGGREGATIONS[name] - BUILT_IN] = compiled
        SPECS[name] = cls
        return cls

    return register


_OWN: set[str] = set()


def functions_for(aggregations: set[str]) -> tuple[AnyValue, ...]:
    """Return the functions of users, numbered as the kernel calls them; none where none is asked for."""
    return tuple(_FUNCTIONS) if aggregations & _OWN else ()


def _compile(take: Take, name: str) -> AnyValue:
    if len(inspect.signature(take).parameters) != 3:
        raise SpecError(f"The function of the aggregation {name!r} takes (state, age, value).")
    try:
        compiled = njit(_SIGNATURE)(take)
    except NumbaError as error:
        said = next((line for line in str(error).splitlines() if line.strip()), "no reason given")
        raise SpecError(f"The function of the aggregation {name!r} cannot be compiled: {said}") from error
    compiled(np.zeros(WIDTH), 1.0, 1.0)
    # Numba calls the kernel's way to reach a function by its address an experiment.
    warnings.filterwarnings("ignore", "First-class function", NumbaExperimentalFeatureWarning)
    return compiled


def _path(cls: type) -> tuple[str, str]:
    return cls.__module__, cls.__qualname__
