"""The definitions in NumPy: short, float64, readable beside the formula. No framework."""
