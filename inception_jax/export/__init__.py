"""Networks as files that other programs run, one module a format.

Each carries its metadata and is compared with the network it was made from.
"""
