"""Model packages: what a manifest says, whether its files are what it says, and import of published checkpoints."""
