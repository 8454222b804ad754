"""Encoders: frozen models of others' training that turn a waveform into a vector, for a small catalogue to learn on."""
