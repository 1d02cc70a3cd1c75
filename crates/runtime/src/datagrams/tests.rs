use std::io::ErrorKind;
use std::net::UdpSocket;
use std::os::fd::AsFd;

use super::{Inbox, Outbox, Outgoing, Wanted, check_free, connect, join_received, listen};

fn outgoing(slot: usize) -> Outgoing {
    Outgoing { slot, segment: 0, to: None, from: None }
}

/// Until something has come.
fn receive(inbox: &mut Inbox, socket: &impl AsFd, wanted: Wanted) -> usize {
    loop {
        match inbox.receive(socket.as_fd(), 0..inbox.slots(), wanted) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            other => return other.unwrap(),
        }
    }
}

#[test]
fn a_batch_arrives_whole_and_goes_back_to_its_senders() {
    let server = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = server.local_addr().unwrap();
    let clients: Vec<UdpSocket> = (0..5).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let sizes = [0, 1, 512, 9000, 65_507];
    for (client, size) in clients.iter().zip(sizes) {
        client.send_to(&vec![size as u8; size], address).unwrap();
    }
    let (mut inbox, mut outbox) = (Inbox::new(8), Outbox::new(8));
    assert_eq!(receive(&mut inbox, &server, Wanted::Addresses), 5);
    for (slot, (client, size)) in clients.iter().zip(sizes).enumerate() {
        let datagram = inbox.datagram(slot);
        assert_eq!((datagram.length, datagram.truncated, datagram.to), (size, false, None));
        assert_eq!(datagram.from, Some(client.local_addr().unwrap()));
        assert!(inbox.bytes(slot).iter().all(|byte| *byte == size as u8));
        assert!(outbox.push(Outgoing { to: datagram.from, ..outgoing(slot) }));
    }
    assert_eq!(outbox.send(server.as_fd(), &inbox, 0).unwrap(), 5);
    for (client, size) in clients.iter().zip(sizes) {
        let mut bytes = vec![1; 70_000];
        assert_eq!(client.recv(&mut bytes).unwrap(), size);
    }
    let nothing = inbox.receive(server.as_fd(), 0..8, Wanted::Addresses).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_reply_comes_from_the_address_that_was_asked() {
    for (bound, asked) in [("0.0.0.0:0", "127.0.0.77"), ("[::]:0", "127.0.0.78"), ("[::]:0", "::1")] {
        let Ok(server) = listen(bound.parse().unwrap()) else { continue };
        let port = server.local_addr().unwrap().port();
        let asked: std::net::IpAddr = asked.parse().unwrap();
        let any = if asked.is_ipv6() { "[::1]:0" } else { "127.0.0.1:0" };
        let Ok(client) = UdpSocket::bind(any) else { continue };
        client.connect((asked, port)).unwrap();
        client.send(b"question").unwrap();
        let (mut inbox, mut outbox) = (Inbox::new(1), Outbox::new(1));
        assert_eq!(receive(&mut inbox, &server, Wanted::Addresses), 1);
        let datagram = inbox.datagram(0);
        assert_eq!(datagram.to.map(|to| to.ip()), Some(asked));
        outbox.push(Outgoing { to: datagram.from, from: datagram.to, ..outgoing(0) });
        assert_eq!(outbox.send(server.as_fd(), &inbox, 0).unwrap(), 1);
        // A connected socket takes replies from nobody else.
        assert_eq!(client.recv(&mut [0; 32]).unwrap(), 8);
    }
}

/// What one socket sends as one message arrives as one, and is cut again when it is sent on.
#[test]
fn joined_datagrams_stay_joined_until_somebody_wants_them_apart() {
    let middle = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let last = UdpSocket::bind("127.0.0.1:0").unwrap();
    let first = connect(middle.local_addr().unwrap()).unwrap();
    let onwards = connect(last.local_addr().unwrap()).unwrap();
    join_received(&onwards).unwrap();
    // Its bytes are the ones to send.
    let feeder = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut bytes: Vec<u8> = Vec::new();
    (0..10u8).for_each(|part| bytes.extend([part; 1000]));
    bytes.extend([10; 300]);
    feeder.send_to(&bytes, feeder.local_addr().unwrap()).unwrap();
    let (mut inbox, mut outbox) = (Inbox::new(16), Outbox::new(16));
    assert_eq!(receive(&mut inbox, &feeder, Wanted::Nothing), 1);
    outbox.push(Outgoing { segment: 1000, ..outgoing(0) });
    assert_eq!(outbox.send(first.as_fd(), &inbox, 0).unwrap(), 1);

    let count = receive(&mut inbox, &middle, Wanted::Addresses);
    let datagrams: Vec<_> = (0..count).map(|slot| inbox.datagram(slot)).collect();
    assert_eq!(datagrams.iter().map(|datagram| datagram.count()).sum::<u64>(), 11);
    assert_eq!((0..count).flat_map(|slot| inbox.bytes(slot).to_vec()).collect::<Vec<_>>(), bytes);
    outbox.clear();
    for datagram in datagrams {
        outbox.push(Outgoing { segment: datagram.segment, ..outgoing(datagram.slot) });
    }
    assert_eq!(outbox.send(onwards.as_fd(), &inbox, 0).unwrap(), count);
    for part in 0..11u8 {
        let mut received = [0; 2000];
        let length = last.recv(&mut received).unwrap();
        assert_eq!((length, received[0]), (if part == 10 { 300 } else { 1000 }, part));
    }
}

#[test]
fn a_refusal_is_told_to_the_connected_socket() {
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let socket = connect(gone).unwrap();
    rustix::net::send(&socket, b"hello", rustix::net::SendFlags::DONTWAIT).unwrap();
    let mut inbox = Inbox::new(1);
    let error = loop {
        match inbox.receive(socket.as_fd(), 0..1, Wanted::Nothing) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            other => break other.unwrap_err(),
        }
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn workers_share_an_address_and_others_are_told_that_it_is_taken() {
    let first = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = first.local_addr().unwrap();
    let second = listen(address).unwrap();
    assert_eq!(second.local_addr().unwrap(), address);
    assert!(check_free(address).is_err());
    drop((first, second));
    check_free(address).unwrap();
}
