"""Compiles a step ahead of time, without a TPU, and estimates its cost.

Memory, time and collectives are read from the compiled HLO. Nothing in this
folder runs on a device.
"""
