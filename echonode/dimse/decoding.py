"""Where this edge finds the decoder process that it shares with the web edge."""

from echonode.flow.decoding import Decoder as Decoder
