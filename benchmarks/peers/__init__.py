"""Programs that the benchmarks compare with.

All but `plain_flax` are scripts that run in environments of their own, without
this package.
"""
