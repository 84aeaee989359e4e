//! Who answers for names: knows one, as a cluster does that has one Service.

use std::{
    io,
    net::{Ipv4Addr, UdpSocket},
};

/// The Service. It is where everything is, on this machine.
pub(super) const SERVICE: &str = "vaccine-pods";

/// What a cluster gives to a container.
pub(super) const RESOLV_CONF: &str = "nameserver 127.0.0.1\n\
                                      search anticorona.svc.cluster.local svc.cluster.local\n\
                                      options ndots:5\n";

/// Its whole name, in the form of a question.
const NAME: &[u8] = b"\x0cvaccine-pods\x0aanticorona\x03svc\x07cluster\x05local\x00";

/// A question of class IN for an IPv4 address.
const ADDRESS: [u8; 4] = [0, 1, 0, 1];

/// The longest question over UDP.
const QUESTION_MAX_BYTES: usize = 512;

const HEAD_BYTES: usize = 12;

/// Answers until the process ends.
pub(super) fn answer() -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53))?;
    std::thread::spawn(move || {
        let mut buffer = [0; QUESTION_MAX_BYTES];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if let Some(reply) = reply(&buffer[..length]) {
                socket.send_to(&reply, from).ok();
            }
        }
    });
    Ok(())
}

/// To what is not a question, nothing.
fn reply(message: &[u8]) -> Option<Vec<u8>> {
    let question = message.get(HEAD_BYTES..)?;
    let end = question.iter().position(|byte| *byte == 0)? + 1;
    let question = question.get(..end + ADDRESS.len())?;
    let (name, kind) = question.split_at(end);
    let is_known = name.eq_ignore_ascii_case(NAME);
    let is_answered = is_known && kind == ADDRESS;

    let mut reply = message[..2].to_vec();
    reply.extend([0x81, if is_known { 0x80 } else { 0x83 }]); // An answer, or: no such name.
    reply.extend([0, 1, 0, u8::from(is_answered), 0, 0, 0, 0]);
    reply.extend(question);
    if is_answered {
        reply.extend([0xc0, 0x0c]); // The name of the question.
        reply.extend(ADDRESS);
        reply.extend([0, 0, 0, 5, 0, 4]); // For 5 s; four bytes follow.
        reply.extend(Ipv4Addr::LOCALHOST.octets());
    }
    Some(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &[u8]) -> Vec<u8> {
        [b"\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", name, &ADDRESS].concat()
    }

    #[test]
    fn the_service_is_on_this_machine_and_others_are_not_known() {
        let known = reply(&question(NAME)).expect("an answer");
        assert_eq!((&known[..4], known[7]), ([0xab, 0xcd, 0x81, 0x80].as_slice(), 1));
        assert!(known.ends_with(&[127, 0, 0, 1]));
        let other = reply(&question(b"\x05other\x00")).expect("an answer");
        assert_eq!((other[3], other[7]), (0x83, 0));
    }

    #[test]
    fn what_is_not_a_question_is_not_answered() {
        assert_eq!(reply(b""), None);
        assert_eq!(reply(&question(b"\x05other")[..14]), None);
    }
}
