"""Where a runner runs: local processes, batching, devices."""
