"""Exact evaluation: every image once, scores as sums and counts, predictions,
other labels, features, and following a training.

Nothing here trains.
"""
