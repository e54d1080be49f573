"""Families of measured data, one module each, found by themselves: a module here has a `FAMILY`."""
