"""The frozen benchmark of methods that choose formats: truth tables, cases, methods, scores."""
