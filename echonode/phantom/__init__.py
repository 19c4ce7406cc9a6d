"""A simulated heart, scanner and patient cohort with known truth: what trains models, plays the scanner, checks the node."""
