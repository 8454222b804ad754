"""The convolutional network: what it is, what it is fitted to, how it is trained, and as a predictor."""
