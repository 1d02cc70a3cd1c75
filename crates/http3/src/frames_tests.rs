use super::{
    BadFrames, FrameReader, MAX_CONTROL_FRAME, Piece, StreamWatch, headers_frame, put_data_header, put_varint,
};
use bytes::{Bytes, BytesMut};

/// A small generator whose seed a failure tells.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % sides
    }
}

fn data(body: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    put_data_header(&mut out, body.len());
    out.extend_from_slice(body);
    out.to_vec()
}

fn unknown(length: usize) -> Vec<u8> {
    let mut out = BytesMut::new();
    put_varint(&mut out, 0x21);
    put_varint(&mut out, length as u64);
    out.resize(out.len() + length, 7);
    out.to_vec()
}

/// Reads `wire` cut into chunks; gives the field sections and the body.
fn read(wire: &[u8], mut cut: impl FnMut() -> usize) -> Result<(Vec<Vec<u8>>, Vec<u8>), BadFrames> {
    let mut reader = FrameReader::new(1000);
    let (mut fields, mut body) = (Vec::new(), Vec::new());
    let mut rest = wire;
    while !rest.is_empty() {
        let (chunk, behind) = rest.split_at(cut().clamp(1, rest.len()));
        rest = behind;
        reader.feed(Bytes::copy_from_slice(chunk));
        while let Some(piece) = reader.next()? {
            match piece {
                Piece::Fields(section) => fields.push(section.to_vec()),
                Piece::Body(part) => body.extend_from_slice(&part),
                Piece::Nothing => {}
            }
        }
    }
    reader.end()?;
    Ok((fields, body))
}

#[test]
fn however_it_is_cut_a_message_is_the_same() {
    let wire = [
        unknown(3),
        headers_frame(&[b'h'; 300]).to_vec(),
        data(b""),
        data(b"hello "),
        unknown(70),
        data(&[b'w'; 100]),
        headers_frame(b"trailers").to_vec(),
        unknown(0),
    ]
    .concat();
    let whole = read(&wire, || usize::MAX).unwrap();
    assert_eq!(whole.0, [vec![b'h'; 300], b"trailers".to_vec()]);
    assert_eq!(whole.1, [b"hello ".to_vec(), vec![b'w'; 100]].concat());
    for seed in 0..500 {
        let mut dice = Dice(seed);
        let size = 1 + dice.roll(40);
        assert_eq!(read(&wire, || dice.roll(size) as usize).as_ref(), Ok(&whole), "seed {seed}");
    }
}

#[test]
fn an_end_inside_a_frame_is_no_end() {
    let wire = [headers_frame(b"head").to_vec(), data(b"body")].concat();
    let boundaries = [0, headers_frame(b"head").len(), wire.len()];
    for end in 0..=wire.len() {
        let wanted = boundaries.contains(&end);
        assert_eq!(read(&wire[..end], || 1).is_ok(), wanted, "ended behind byte {end}");
        assert_eq!(read(&wire[..end], || usize::MAX).is_ok(), wanted, "ended behind byte {end}");
    }
}

#[test]
fn frames_stand_where_they_may() {
    let head = || headers_frame(b"head").to_vec();
    let cases = [
        ("a body without a head", data(b"x")),
        ("a third field section", [head(), head(), head()].concat()),
        ("a body behind trailers", [head(), head(), data(b"x")].concat()),
        ("settings", [head(), vec![4, 0]].concat()),
        ("a push", vec![5, 1, 0]),
        ("a ping of HTTP/2", vec![6, 0]),
    ];
    for (name, wire) in cases {
        assert_eq!(read(&wire, || usize::MAX), Err(BadFrames::Unexpected), "{name}");
    }
}

#[test]
fn a_head_that_is_too_long_is_not_waited_for() {
    let mut wire = BytesMut::new();
    put_varint(&mut wire, 1);
    put_varint(&mut wire, 1001);
    assert_eq!(read(&wire, || usize::MAX), Err(BadFrames::TooLong));
    // A length of 2^62 - 1 is a length like any other.
    assert_eq!(read(&[1, 0xff, 255, 255, 255, 255, 255, 255, 255], || 1), Err(BadFrames::TooLong));
    assert_eq!(read(&[0x21, 0xff, 255, 255, 255, 255, 255, 255, 255, 1], || 1), Err(BadFrames::Truncated));
}

#[test]
fn any_bytes_are_read_without_a_panic() {
    for seed in 0..20_000 {
        let mut dice = Dice(seed);
        let wire: Vec<u8> =
            (0..dice.roll(60)).map(|_| [dice.roll(16), dice.roll(256)][dice.0 as usize & 1] as u8).collect();
        let _ = read(&wire, || 1 + dice.roll(9) as usize);
        let mut watch = StreamWatch::default();
        for chunk in wire.chunks(1 + seed as usize % 7) {
            if watch.look(chunk).is_err() {
                break;
            }
        }
    }
}

#[test]
fn a_control_stream_is_watched_and_others_are_not() {
    let mut wire = BytesMut::from(&[0_u8, 4, 0][..]);
    for length in [0, 5, MAX_CONTROL_FRAME] {
        wire.extend_from_slice(&unknown(length as usize));
    }
    for size in [1, 2, 7, 5000] {
        let mut watch = StreamWatch::default();
        let frames: u32 = wire.chunks(size).map(|chunk| watch.look(chunk).unwrap()).sum();
        assert_eq!(frames, 4);
    }
    let mut watch = StreamWatch::default();
    assert_eq!(watch.look(&[0, 0x21, 0x80, 1, 0, 0]), Err(BadFrames::TooLong));
    let mut watch = StreamWatch::default();
    assert_eq!(watch.look(&[2, 0x21, 0x80, 1, 0, 0]), Ok(0));
}
