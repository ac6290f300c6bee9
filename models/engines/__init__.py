"""What runs a frozen backbone."""
