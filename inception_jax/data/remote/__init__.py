"""Datasets in buckets: their index, and reading their records.

Sources read them by `data.places`, as files in a folder.
"""
