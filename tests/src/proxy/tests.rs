//! Each fault does what it says, to one direction only.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener as StdListener, TcpStream as StdStream};
use std::thread;

use super::*;
use crate::place::Network;
use crate::wait;

/// A silence this long is taken for one that does not end.
const SILENCE: Duration = Duration::from_millis(300);

/// Node 1 answers every byte with its successor; node 0 dials it. Their links begin as they are.
struct Pair {
    links: Links,
    /// Kept for ever, for the peer listens as long.
    network: &'static Network,
}

impl Pair {
    fn start() -> Self {
        let network: &'static Network = Box::leak(Box::new(Network::take().unwrap()));
        let door =
            |index| Door { front: network.address(index), node: network.address(100 + index) };
        echo(door(1).node);
        let links = Links::start(vec![door(0), door(1)]).unwrap();
        Self { links, network }
    }

    /// Dials as node 0, and waits at most [`SILENCE`] for an answer.
    fn dial(&self) -> StdStream {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let socket = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind((self.network.address(100), 0).into()).unwrap();
            let front = (self.network.address(1), INTERNODE_PORT).into();
            socket.connect(front).await.unwrap().into_std().unwrap()
        });
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(SILENCE)).unwrap();
        socket
    }
}

#[expect(clippy::disallowed_methods, reason = "a peer of the test, a thread a connection")]
fn echo(address: IpAddr) {
    let listener = StdListener::bind((address, INTERNODE_PORT)).unwrap();
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut bytes = vec![0; 1 << 16];
                while let Ok(count) = socket.read(&mut bytes)
                    && count > 0
                {
                    bytes[..count].iter_mut().for_each(|byte| *byte = byte.wrapping_add(1));
                    if socket.write_all(&bytes[..count]).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

fn ask(socket: &mut StdStream, byte: u8) -> Option<u8> {
    let mut answer = [0];
    socket.write_all(&[byte]).ok()?;
    socket.read_exact(&mut answer).ok()?;
    Some(answer[0])
}

/// How long a question takes.
fn time(socket: &mut StdStream) -> Duration {
    let asked_at = wait::now();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(ask(socket, 1), Some(2));
    asked_at.elapsed()
}

fn is_over(socket: &mut StdStream) -> bool {
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    matches!(socket.read(&mut [0]), Ok(0) | Err(_))
}

#[test]
fn a_cut_loses_one_direction_and_its_connections_end_with_it() {
    let pair = Pair::start();
    for (from, to) in [(0, 1), (1, 0)] {
        let mut socket = pair.dial();
        assert_eq!(ask(&mut socket, 1), Some(2));
        pair.links.set(from, to, &Condition::cut());
        assert_eq!(ask(&mut socket, 3), None, "{from} -> {to}");
        assert_eq!(ask(&mut pair.dial(), 3), None, "a new connection over {from} -> {to}");
        pair.links.heal();
        assert!(is_over(&mut socket), "it has lost bytes");
        assert_eq!(ask(&mut pair.dial(), 5), Some(6));
    }
}

#[test]
fn a_stall_loses_nothing() {
    let pair = Pair::start();
    let mut socket = pair.dial();
    assert_eq!(ask(&mut socket, 1), Some(2));
    pair.links.set_between(0, 1, &Condition::stalled());
    assert_eq!(ask(&mut socket, 3), None);
    let mut waiting = pair.dial();
    assert_eq!(ask(&mut waiting, 5), None);
    pair.links.heal();
    for (mut socket, expected) in [(socket, 4), (waiting, 6)] {
        let mut answer = [0];
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.read_exact(&mut answer).unwrap();
        assert_eq!(answer, [expected]);
    }
}

#[test]
fn a_delay_holds_up_its_direction_and_keeps_the_order() {
    const DELAY: Duration = Duration::from_millis(150);
    let pair = Pair::start();
    let mut socket = pair.dial();
    assert!(time(&mut socket) < DELAY);
    let slow = Condition::slow(DELAY).with_jitter(DELAY);
    pair.links.set(1, 0, &slow);
    assert!(time(&mut socket) >= DELAY);
    let (mut reader, asked_at) = (socket.try_clone().unwrap(), wait::now());
    for byte in 0..100 {
        socket.write_all(&[byte]).unwrap();
        thread::sleep(Duration::from_millis(1));
    }
    let mut answers = [0; 100];
    reader.read_exact(&mut answers).unwrap();
    assert!(answers.iter().copied().eq(1..=100), "{answers:?}");
    assert!(asked_at.elapsed() < 50 * DELAY, "they are on their way at the same time");
    pair.links.heal();
    assert!(time(&mut socket) < DELAY);
}

#[test]
fn a_narrow_link_takes_its_time() {
    let pair = Pair::start();
    let mut socket = pair.dial();
    pair.links.set(0, 1, &Condition::narrow(100_000));
    let begun_at = wait::now();
    let mut writer = socket.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || writer.write_all(&vec![7; 50_000]).unwrap());
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut answer = vec![0; 50_000];
        socket.read_exact(&mut answer).unwrap();
        assert!(answer.iter().all(|byte| *byte == 8));
    });
    let took = begun_at.elapsed();
    assert!(took >= Duration::from_millis(450), "half a second's bytes after {took:?}");
}

#[test]
fn a_reset_ends_the_connections_that_one_node_dialled() {
    let pair = Pair::start();
    let mut socket = pair.dial();
    assert_eq!(ask(&mut socket, 1), Some(2));
    pair.links.reset(1, 0);
    assert_eq!(ask(&mut socket, 1), Some(2), "node 1 has dialled none of them");
    pair.links.reset(0, 1);
    assert!(is_over(&mut socket));
    assert_eq!(ask(&mut pair.dial(), 1), Some(2));
}

#[test]
fn a_mute_node_hears_and_is_not_heard() {
    let pair = Pair::start();
    let mut socket = pair.dial();
    assert_eq!(ask(&mut socket, 1), Some(2));
    pair.links.set(0, 1, &Condition::mute());
    assert_eq!(ask(&mut socket, 1), Some(2), "node 0 answers nobody");
    pair.links.set(1, 0, &Condition::mute());
    assert_eq!(ask(&mut socket, 1), None);
}

#[test]
fn a_half_open_link_accepts_and_never_answers() {
    let pair = Pair::start();
    let mut before = pair.dial();
    assert_eq!(ask(&mut before, 1), Some(2));
    pair.links.set(0, 1, &Condition::half_open());
    assert_eq!(ask(&mut before, 1), None);
    assert_eq!(ask(&mut pair.dial(), 1), None);
    pair.links.heal();
    assert_eq!(ask(&mut pair.dial(), 1), Some(2));
}

#[test]
fn corruption_flips_about_as_many_bits_as_it_is_told() {
    let pair = Pair::start();
    let mut socket = pair.dial();
    pair.links.set(0, 1, &Condition::corrupting(1_000));
    let mut writer = socket.try_clone().unwrap();
    let mut answer = vec![0; 100_000];
    thread::scope(|scope| {
        scope.spawn(move || writer.write_all(&vec![7; 100_000]).unwrap());
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.read_exact(&mut answer).unwrap();
    });
    let wrong = answer.iter().filter(|byte| **byte != 8).count();
    assert!((30..300).contains(&wrong), "{wrong} of 100 000 bytes are wrong");
    assert!(pair.links.flips() >= wrong as u64);
}

#[test]
fn strangers_are_let_through() {
    let pair = Pair::start();
    pair.links.set_all(&Condition::cut());
    let mut socket = StdStream::connect((pair.network.address(1), INTERNODE_PORT)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(ask(&mut socket, 1), Some(2));
}

#[test]
fn a_partition_cuts_what_is_not_in_one_group() {
    let network = Network::take().unwrap();
    let door = |index| Door { front: network.address(index), node: network.address(100 + index) };
    let links = Links::start((0..4).map(door).collect()).unwrap();
    links.part(&[&[0, 1], &[2]]);
    let is_cut =
        |from: usize, to: usize| links.net.links[from][to].borrow().condition == Condition::cut();
    for (from, to) in links.pairs() {
        assert_eq!(is_cut(from, to), (from.min(to), from.max(to)) != (0, 1), "{from} -> {to}");
    }
}
