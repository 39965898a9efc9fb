"""Exact evaluation: every image once, scores as sums and counts, predictions,
other labels, and following a training.

Nothing here trains.
"""
