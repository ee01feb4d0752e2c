"""Model bundles: their layout's check, their golden inferences and the registry that keeps them."""
