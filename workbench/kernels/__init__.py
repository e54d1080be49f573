"""Arrays in, arrays out: no graph, no YAML, no profile. Inputs are validated before they get here."""
