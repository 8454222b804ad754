"""Chance changes to training excerpts that leave the label true; `augmenting` puts together what params.yaml turns on.

One file for each thing that changes: `pitch`, `timing`, `level`, `noise`, `mixing`, `masking`, `polarity`. All are pure
functions of excerpts and a random generator, which may live on the processor or where the excerpts lie; each excerpt
has draws of its own.
"""
