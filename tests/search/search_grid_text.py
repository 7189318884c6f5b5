"""The grid that searches are tested with."""

GRID = """\
# Question: which width at its own rate?
schema: 1
name: tiny
data: {name: digits}
recipe: {epochs: 2, batch_size: 64, momentum: 0.9}
seeds: 2
models:
  - {name: mlp, hidden: [16, 32]}
search:
  space: {lr: {low: 1.0e-2, high: 1.0, log: true}}
  trials: 3
  seeds: 1
"""
ONE = GRID.replace("[16, 32]", "16")
