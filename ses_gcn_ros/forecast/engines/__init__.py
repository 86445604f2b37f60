"""What runs a network: each engine takes features and gives the network's answer."""
