"""What may happen to a decoder. What is wrong with a recording itself, `earmark.audio.decode` says."""

from earmark.errors import AudioError


class DecoderDied(AudioError):
    """The process that decoded the file ended: by a fault in FFmpeg, or because it wanted more than it may have."""


class DecodingTookTooLong(AudioError):
    """The file was not decoded in time; the process that was at it has been ended."""
