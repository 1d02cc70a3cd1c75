//! Heads between the text of HTTP/1.1 and the fields of multiplexed protocols.
