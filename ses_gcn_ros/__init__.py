"""See a person's next second: skeletons, SeS-GCN forecasts and separation monitoring for cobots."""

__version__ = "0.1.0"
