"""Cut off or whole: told apart for every format in which the bytes can tell."""

import struct

import pytest

from earmark.audio.decode import TruncatedAudio, decode
from made_audio import FORMATS, encode_samples
from probing import probe


class TestCutFiles:
    @pytest.mark.parametrize("suffix", FORMATS)
    @pytest.mark.parametrize("share", [0.05, 0.25, 0.5, 0.75, 0.9])
    def test_a_cut_is_noticed_wherever_it_falls(self, recordings, suffix, share):
        # A few bytes off the share, so that no cut falls between two frames, where an ADTS stream cannot show it.
        whole = recordings[suffix]
        with pytest.raises(TruncatedAudio, match="is cut off"):
            probe(whole[: int(len(whole) * share) + 3])

    @pytest.mark.parametrize("suffix", FORMATS)
    def test_half_a_file_is_refused_when_decoding_too(self, recordings, suffix, write):
        whole = recordings[suffix]
        with pytest.raises(TruncatedAudio, match=r"half\.wav"):
            decode(write("half.wav", whole[: len(whole) // 2 + 1]), sample_rate_hz=16_000, mono=True)

    @pytest.mark.parametrize("suffix", FORMATS)
    def test_a_whole_file_is_whole(self, recordings, suffix):
        assert probe(recordings[suffix]).duration_s > 3.9

    @pytest.mark.parametrize("kept", [0.3, 0.5, 0.7])
    def test_an_mp3_without_a_header_is_told_by_its_last_frame(self, encode, kept):
        bare = encode("mp3", muxer_options={"write_xing": "0", "id3v2_version": "0"})
        frame_bytes = 288  # 96 kbit/s at 48 kHz: 144 * 96000 / 48000
        assert bare[0] == 0xFF and bare[frame_bytes] == 0xFF
        inside = int(len(bare) * kept) // frame_bytes * frame_bytes + frame_bytes // 2
        with pytest.raises(TruncatedAudio, match="last frame"):
            probe(bare[:inside])

    def test_an_mp3_without_a_header_cut_between_frames_hides_it(self, encode):
        bare = encode("mp3", muxer_options={"write_xing": "0", "id3v2_version": "0"})
        assert probe(bare[: 288 * 80]).duration_s == pytest.approx(80 * 0.024, abs=0.03)

    def test_tags_at_the_end_do_not_hide_a_cut_and_are_no_cut(self, recordings):
        tag = b"TAG" + b"title".ljust(125, b"\0")
        whole = recordings["mp3"]
        assert probe(whole + tag).duration_s == pytest.approx(4.0, abs=0.01)
        with pytest.raises(TruncatedAudio):
            probe(whole[: len(whole) // 2] + tag)

    def test_a_fragmented_m4a_is_told_too(self, encode):
        whole = encode("m4a", muxer_options={"movflags": "frag_keyframe+empty_moov"})
        assert probe(whole).duration_s == pytest.approx(4.0, abs=0.06)
        with pytest.raises(TruncatedAudio):
            probe(whole[: len(whole) // 2])

    def test_an_m4a_with_its_index_first_is_told_too(self, recordings):
        whole = recordings["m4a"]
        boxes, at = {}, 0
        while at < len(whole):
            length, kind = struct.unpack(">I4s", whole[at : at + 8])
            boxes[kind] = whole[at : at + length]
            at += length
        index_first = boxes[b"ftyp"] + boxes[b"moov"] + boxes[b"mdat"]
        with pytest.raises(TruncatedAudio, match="mdat"):
            probe(index_first[: int(len(index_first) * 0.6)])
        with pytest.raises(TruncatedAudio, match="moov"):
            probe(boxes[b"ftyp"] + boxes[b"mdat"])


class TestNoFalseAlarm:
    @pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0])
    def test_a_wav_streamed_without_a_size_is_whole(self, recordings, size):
        streamed = bytearray(recordings["wav"])
        at = streamed.index(b"data")
        streamed[at + 4 : at + 8] = struct.pack("<I", size)
        assert probe(bytes(streamed)).duration_s == pytest.approx(4.0, abs=0.01)

    def test_a_wav_over_four_gigabytes_in_kind_is_whole(self, encode):
        large = encode("wav", muxer_options={"rf64": "always"})
        assert large[:4] == b"RF64"
        assert probe(large).duration_s == pytest.approx(4.0, abs=0.001)
        with pytest.raises(TruncatedAudio):
            probe(large[: len(large) // 2])

    @pytest.mark.parametrize("seconds", [0.2, 0.5, 1.003])
    @pytest.mark.parametrize("suffix", FORMATS)
    def test_a_short_recording_is_short_and_not_cut(self, encode, suffix, seconds):
        assert probe(encode(suffix, seconds)).duration_s == pytest.approx(seconds, abs=0.06)

    @pytest.mark.parametrize("suffix", ["mp3", "flac", "wav", "aiff", "m4a"])
    def test_odd_lengths_are_no_cut(self, suffix):
        import numpy as np

        assert probe(encode_samples(np.zeros((1, 24_001)) + 0.1, suffix, 22_050)).channels == 1

    @pytest.mark.parametrize("suffix", ["wav", "mp3", "ogg"])
    def test_rubbish_behind_the_end_is_no_cut(self, recordings, suffix):
        assert probe(recordings[suffix] + bytes(1_000)).duration_s == pytest.approx(4.0, abs=0.06)
