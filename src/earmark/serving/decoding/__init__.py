"""Uploads are decoded in processes of their own: a hostile file can spoil its own answer and nothing else.

===========  ===========================================================================================
decoders     what the service calls: so many files at once, first come, first served
decoded      what comes back
errors       what may happen to a decoder
decoder      one decoder process, as the service sees it
nursery      where decoder processes come from, as the service sees it
forking      the program of the nursery: it imports once what decoders need, and forks them
child        the program of a decoder
limits       what the system lets a decoder have
hearing      loudness, measured as the sound goes by
handing      files and samples handed from process to process, without a name
wire         messages between the processes
===========  ===========================================================================================

Linux is what this is made for. Elsewhere (macOS) it works without some of the guards: see `limits` and `handing`.
"""

from earmark.serving.decoding.decoded import Block, Decoded
from earmark.serving.decoding.decoders import Decoders
from earmark.serving.decoding.errors import DecoderDied, DecodingTookTooLong

__all__ = ["Block", "Decoded", "DecoderDied", "Decoders", "DecodingTookTooLong"]
