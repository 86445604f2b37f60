"""The braking study: real people come up to the moving demo robot, and it has to stand in time."""
