"""What people are doing: recognition of actions from skeletons, with the right not to know."""
