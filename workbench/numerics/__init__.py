"""Number rules: formats, rounding, fixed point, requantization. No arrays of layers, no graphs, no profiles."""
