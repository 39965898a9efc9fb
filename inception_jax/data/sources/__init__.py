"""Where images come from: one module a source, and the registry that
`data.source` names.

Each returns a split of undecoded records; no decoding, no order.
"""
