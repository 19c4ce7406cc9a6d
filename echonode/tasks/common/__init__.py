"""What tasks share: safe checkpoint loading, warps, devices."""
