"""Convolutions and pools that a platform computes faster than XLA's default
lowering: same values, same derivatives.

Nothing that knows what a network is.
"""
