"""Predictive risk modelling for value-based care: from patient histories to payments."""

__version__ = "0.1.0"
