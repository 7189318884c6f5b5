"""The exact paired test, shares, survival and power: pure functions over arrays. Imports no torch.

docs/statistics.md says how often they err, and how often they decide.
"""
