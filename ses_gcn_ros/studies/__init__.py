"""Evidence: braking, collisions, soak, pose accuracy, benchmarks; imported by commands alone."""
