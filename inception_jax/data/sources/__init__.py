"""The sources that `data.source` names: one module each, and the registry.

Each opens a split of undecoded records; no decoding, no order.
"""
