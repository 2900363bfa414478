"""What fidojax does on a GPU, measured in ten minutes by one command; see `__main__`."""
