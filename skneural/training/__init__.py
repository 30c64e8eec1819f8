"""Training: the state of a fit, the loops that change it, the learning rates, and what is noted of every epoch."""
