"""What tasks share: safe checkpoint loading, parity vectors, the sector and its overlays, warps, devices."""
