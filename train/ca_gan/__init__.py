"""Train the contextual attention GAN."""
