"""The training room: frozen data sets, runs that survive a kill, statistics and publishing. Tools, never a framework."""
