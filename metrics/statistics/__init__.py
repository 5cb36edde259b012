"""The mathematics of experiments: arrays in, arrays out, no database.

Time is always the last axis: an experiment is an array of shape (n,), many of them are one of shape (experiments, n).
"""
