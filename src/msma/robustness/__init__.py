"""How a perturbation moves a model's states, how to notice it, and how to withstand it."""
