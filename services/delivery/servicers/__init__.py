"""The RPCs of Delivery."""
