"""Training: recipes, augmentation, the loop, calibration and evaluation on windows."""
