"""The checker: what was promised, read off the raw topics with nothing of the product's own in between."""
