"""Scalar formulas in registries: pure functions of numbers, written once, compiled by every backend."""
