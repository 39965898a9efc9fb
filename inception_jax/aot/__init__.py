"""A training step compiled for TPUs ahead of time, without one, and what its HLO says of memory, time and exchange."""
