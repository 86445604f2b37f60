"""Evidence: braking, collisions, soak, pose accuracy, benchmarks; imported by commands alone."""

from pathlib import Path

# Robots, and what pages say beside their figures.
ASSETS = Path(__file__).resolve().parent / "assets"
