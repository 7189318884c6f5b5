"""Run a grid: the parent that plans and hands out work, and the workers that measure and train."""
