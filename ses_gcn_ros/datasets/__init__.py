"""Recorded motion: readers that turn files into sequences, and windows over them."""
