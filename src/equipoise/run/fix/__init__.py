"""The job that gives a network another last layer, and shows for whom that changed what."""
