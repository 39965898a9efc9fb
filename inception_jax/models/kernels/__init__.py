"""Convolutions and pools that a platform computes faster than XLA's default
lowering, with the same values and derivatives.

May not import other modules of `models`.
"""
