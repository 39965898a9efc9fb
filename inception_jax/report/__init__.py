"""Figures, tables and pages that present results.

Nothing in this folder runs a network.
"""
