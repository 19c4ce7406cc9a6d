"""One folder a task, all of the same inner shape; found by entry point alone."""
