"""A simulated heart, scanner and patient cohort with known truth."""
