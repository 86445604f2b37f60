"""Training of networks that lift joints of an image to joints in space."""
