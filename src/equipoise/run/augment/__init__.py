"""`augment`: pairs of generated pictures, and the target's classifier with and without them."""
