"""fidojax beside PyTorch, Captum and Quantus."""
