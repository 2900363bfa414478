"""Speed and results compared with PyTorch, Captum and Quantus."""
