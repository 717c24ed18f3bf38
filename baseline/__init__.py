"""Planners without learning: the rules of ads, exact and heuristic searches, and yardsticks to compare with."""
