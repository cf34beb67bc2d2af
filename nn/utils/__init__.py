"""What is done to whole modules and their parameters: clipping, parametrisation, pruning, sequences of unequal length."""
