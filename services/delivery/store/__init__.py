"""The statements of Delivery."""
