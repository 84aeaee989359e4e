//! A DNS server for one name, like that of a cluster with one Service.

use std::{
    io,
    net::{Ipv4Addr, UdpSocket},
};

/// Resolves to this machine.
pub(super) const SERVICE: &str = "vaccine-pods";

/// As Kubernetes writes it into a container.
pub(super) const RESOLV_CONF: &str = "nameserver 127.0.0.1\n\
                                      search anticorona.svc.cluster.local svc.cluster.local\n\
                                      options ndots:5\n";

/// The fully qualified name, in the encoding of a DNS question.
const NAME: &[u8] = b"\x0cvaccine-pods\x0aanticorona\x03svc\x07cluster\x05local\x00";

/// Type A, class IN.
const TYPE_A: [u8; 4] = [0, 1, 0, 1];

/// The limit of DNS over UDP.
const QUESTION_MAX_BYTES: usize = 512;

const HEADER_BYTES: usize = 12;

/// Serves until the process ends.
pub(super) fn serve() -> io::Result<()> {
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

/// None if the message is not a question.
fn reply(message: &[u8]) -> Option<Vec<u8>> {
    let question = message.get(HEADER_BYTES..)?;
    let end = question.iter().position(|byte| *byte == 0)? + 1;
    let question = question.get(..end + TYPE_A.len())?;
    let (name, record_type) = question.split_at(end);
    let is_known = name.eq_ignore_ascii_case(NAME);
    let is_answered = is_known && record_type == TYPE_A;

    let mut reply = message[..2].to_vec();
    reply.extend([0x81, if is_known { 0x80 } else { 0x83 }]); // NOERROR or NXDOMAIN.
    reply.extend([0, 1, 0, u8::from(is_answered), 0, 0, 0, 0]);
    reply.extend(question);
    if is_answered {
        reply.extend([0xc0, 0x0c]); // A pointer to the name in the question.
        reply.extend(TYPE_A);
        reply.extend([0, 0, 0, 5, 0, 4]); // TTL 5 s, then the length.
        reply.extend(Ipv4Addr::LOCALHOST.octets());
    }
    Some(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &[u8]) -> Vec<u8> {
        [b"\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", name, &TYPE_A].concat()
    }

    #[test]
    fn the_service_resolves_and_other_names_do_not_exist() {
        let known = reply(&question(NAME)).expect("an answer");
        assert_eq!((&known[..4], known[7]), ([0xab, 0xcd, 0x81, 0x80].as_slice(), 1));
        assert!(known.ends_with(&[127, 0, 0, 1]));
        let other = reply(&question(b"\x05other\x00")).expect("an answer");
        assert_eq!((other[3], other[7]), (0x83, 0));
    }

    #[test]
    fn a_malformed_question_gets_no_reply() {
        assert_eq!(reply(b""), None);
        assert_eq!(reply(&question(b"\x05other")[..14]), None);
    }
}
