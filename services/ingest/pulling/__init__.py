"""Gmail's notifications by Pub/Sub pull, for installations that the outside cannot reach."""
