"""What meets measurements: published rows, the fits to them, their cross-validation, and the cost sheets that profiles use."""
