"""Figures, tables and pages for people.

Reads results; computes none of a network's.
"""
