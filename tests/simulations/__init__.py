"""What the statistics of experiments are worth, by simulation: `make simulations`."""
