"""Quell: a scheduler that quells resource contention in virtualised clusters."""

__version__ = "0.1.0"
