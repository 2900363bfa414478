"""Train the U-Net that draws in scales."""
