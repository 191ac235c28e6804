"""What chatstream costs, each row beside its own floor measured in the same run: `make bench`."""
