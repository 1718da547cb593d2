"""Data to begin with: a simulator of claims whose true risks are known."""

from riskmodels.datasets.parameters import Parameters
from riskmodels.datasets.simulation import Simulation, simulate

__all__ = ["Parameters", "Simulation", "simulate"]
