"""A training step compiled for a TPU ahead of time, without one.

Reads memory, time and exchange from its HLO. No device is touched.
"""
