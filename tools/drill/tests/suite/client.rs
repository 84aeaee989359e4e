//! How the connection of a load reads every kind of response, and how `send` reads those that it does not.

use std::{io, time::Duration};

use drill::{HttpConnection, RESPONSE_BYTES_MAX, Request, RequestError, Response, Target, send};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpSocket, TcpStream},
};

use crate::server::{Answer, Server, answer, status};

const CHUNKED: &str = "HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n";

async fn always(answer: impl Fn() -> Answer + Send + Sync + 'static) -> Server {
    Server::start(move |_, _| answer()).await
}

/// Sends on a connection of a load.
async fn get(server: &Server) -> Result<Response, RequestError> {
    HttpConnection::new(&server.target).send(&Request::get("/")).await
}

/// The error of a request with this response.
async fn error_of(answer: impl Fn() -> Answer + Send + Sync + 'static) -> RequestError {
    get(&always(answer).await).await.expect_err("no valid response")
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let server =
        Server::start(|number, _| status(201, "", &format!("{{\"number\":{number}}}"))).await;
    let mut connection = HttpConnection::new(&server.target);
    for number in 0..3 {
        let reply = connection.send(&Request::post_json("/", "{}")).await.expect("a reply");
        assert_eq!(reply.status, 201);
        assert_eq!(reply.json().expect("JSON")["number"], number);
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn the_request_arrives_as_it_was_written() {
    let server = always(|| status(200, "", "")).await;
    let request = Request::post_json("/a?b=c", "{\"d\":1}").header("etag", "x");
    send(&server.target, &request).await.expect("a reply");
    let host = server.target.authority();
    let expected = format!(
        "POST /a?b=c HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\netag: x\r\n\
         connection: close\r\ncontent-length: 7\r\n\r\n{{\"d\":1}}"
    );
    assert_eq!(server.requests(), [expected]);
}

#[tokio::test]
async fn chunks_become_one_body_however_they_arrive() {
    let chunks = "5\r\nhello\r\n7;note=x\r\n, world\r\n0\r\n\r\n";
    let server = Server::start(move |number, _| match number {
        0 => answer(format!("{CHUNKED}{chunks}")),
        _ => answer(format!("{CHUNKED}{chunks}")).byte_by_byte(),
    })
    .await;
    let mut connection = HttpConnection::new(&server.target);
    for _ in 0..2 {
        let reply = connection.send(&Request::get("/")).await.expect("a reply");
        assert_eq!(reply.text(), "hello, world");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_large_body_is_read_whole() {
    let body = "x".repeat(1024 * 1024);
    let sent = body.clone();
    let server = always(move || status(200, "", &sent)).await;
    for reply in [get(&server).await, send(&server.target, &Request::get("/")).await] {
        assert!(reply.expect("a reply").text() == body);
    }
}

#[tokio::test]
async fn an_announced_close_is_followed_by_a_new_connection() {
    let server = always(|| status(200, "connection: close\r\n", "bye").then_close()).await;
    let mut connection = HttpConnection::new(&server.target);
    for _ in 0..3 {
        let reply = connection.send(&Request::get("/")).await.expect("a reply");
        assert_eq!(reply.text(), "bye");
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_body_may_end_with_the_connection() {
    let server = always(|| answer("HTTP/1.1 200 X\r\n\r\nto the end").then_close()).await;
    let reply = send(&server.target, &Request::get("/")).await.expect("a reply");
    assert_eq!(reply.text(), "to the end");
}

#[tokio::test]
async fn trailers_and_too_large_bodies_are_read_or_refused_by_send() {
    let server = always(|| answer(format!("{CHUNKED}2\r\nok\r\n0\r\nchecksum: 1\r\n\r\n"))).await;
    let reply = send(&server.target, &Request::get("/")).await.expect("a reply");
    assert_eq!(reply.text(), "ok");
    let body = "x".repeat(RESPONSE_BYTES_MAX + 1);
    let server = always(move || answer(format!("HTTP/1.1 200 X\r\n\r\n{body}")).then_close()).await;
    let error = send(&server.target, &Request::get("/")).await.expect_err("too large");
    assert!(matches!(error, RequestError::TooLarge), "{error}");
}

#[tokio::test]
async fn interim_responses_are_skipped() {
    let server = always(|| {
        let early = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
        answer(format!("{early}HTTP/1.1 204 No Content\r\netag: \"1\"\r\n\r\n"))
    })
    .await;
    let reply = send(&server.target, &Request::get("/")).await.expect("a reply");
    assert_eq!(
        (reply.status, reply.header("etag"), reply.header("link")),
        (204, Some("\"1\""), None)
    );
}

#[tokio::test]
async fn retry_after_is_read() {
    let server = always(|| status(503, "Retry-After: 3\r\nlocation: /x\r\n", "")).await;
    let reply = get(&server).await.expect("a reply");
    assert_eq!((reply.status, reply.retry_after_seconds), (503, Some(3)));
    let reply = send(&server.target, &Request::get("/")).await.expect("a reply");
    assert_eq!((reply.retry_after_seconds, reply.location()), (Some(3), Some("/x")));
}

#[tokio::test]
async fn a_kept_connection_found_closed_is_an_error_and_nothing_is_sent_again() {
    let server = Server::start(|number, _| match number {
        1 => answer("").then_close(),
        _ => status(201, "", ""),
    })
    .await;
    let mut connection = HttpConnection::new(&server.target);
    let post = Request::post_json("/", "{}");
    connection.send(&post).await.expect("a reply");
    let error = connection.send(&post).await.expect_err("closed");
    assert!(matches!(error, RequestError::Closed));
    assert_eq!(server.requests().len(), 2);
    connection.send(&post).await.expect("a reply on a new connection");
    assert_eq!((server.requests().len(), server.connections()), (3, 2));
}

#[tokio::test]
async fn a_server_that_closes_unannounced_is_noticed_with_the_next_request() {
    let server = always(|| status(200, "", "").then_close()).await;
    let mut connection = HttpConnection::new(&server.target);
    connection.send(&Request::get("/")).await.expect("a reply");
    let error = connection.send(&Request::get("/")).await.expect_err("closed");
    assert!(matches!(error, RequestError::Closed));
}

#[tokio::test]
async fn a_response_that_breaks_off_is_cut_short() {
    for half in [
        "HTTP/1.1 200 X\r\ncontent-le".to_owned(),
        "HTTP/1.1 200 X\r\ncontent-length: 10\r\n\r\nhello".to_owned(),
        format!("{CHUNKED}5\r\nhel"),
        format!("{CHUNKED}5\r\nhello\r\n"),
    ] {
        let error = error_of(move || answer(&half).then_close()).await;
        assert!(matches!(error, RequestError::CutShort), "{error}");
    }
}

#[tokio::test]
async fn too_large_a_response_is_refused_however_it_is_framed() {
    let body = "x".repeat(RESPONSE_BYTES_MAX + 1);
    for head in [
        format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n", body.len()),
        format!("{CHUNKED}{:x}\r\n", body.len()),
        format!("{CHUNKED}{RESPONSE_BYTES_MAX:x}\r\n"),
        "HTTP/1.1 200 X\r\nendless: ".to_owned(),
    ] {
        let bytes = format!("{head}{body}");
        let error = error_of(move || answer(&bytes)).await;
        assert!(matches!(error, RequestError::TooLarge), "{error}");
    }
}

#[tokio::test]
async fn a_refusal_is_read_even_if_the_server_does_not_take_the_whole_body() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound port");
    let target = Target::parse(&format!("http://{address}")).expect("loopback");
    let request = Request::post_json("/", &"x".repeat(32 * 1024 * 1024));
    let refuse = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        stream.readable().await.expect("the beginning of the request");
        let refusal = b"HTTP/1.1 413 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(refusal).await.expect("room for the refusal");
    };
    let mut connection = HttpConnection::new(&target);
    let (reply, ()) = tokio::join!(connection.send(&request), refuse);
    assert_eq!(reply.expect("the refusal").status, 413);
}

#[tokio::test]
async fn bytes_after_the_response_are_an_error() {
    let error = error_of(|| answer("HTTP/1.1 200 X\r\ncontent-length: 2\r\n\r\nabc")).await;
    assert_eq!(error.to_string(), "the response is malformed: bytes after its end");
}

#[tokio::test(start_paused = true)]
async fn a_response_that_does_not_come_times_out() {
    for half in ["", "HTTP/1.1 200 X\r\ncontent-length: 10\r\n\r\nhello"] {
        let error = error_of(move || answer(half).then_hang()).await;
        assert_eq!(error.to_string(), "no complete response within 10 s");
        let server = always(move || answer(half).then_hang()).await;
        let error = send(&server.target, &Request::get("/")).await.expect_err("no response");
        assert_eq!(error.to_string(), "no complete response within 10 s");
    }
}

#[tokio::test]
async fn a_refused_connection_is_reported() {
    // Bound, so that no other process gets the port, but not listening.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let address = socket.local_addr().expect("a bound port");
    let target = Target::parse(&format!("http://{address}")).expect("loopback");
    let mut connection = HttpConnection::new(&target);
    let request = Request::get("/");
    for ended in [connection.send(&request).await, send(&target, &request).await] {
        let error = ended.expect_err("refused");
        assert_eq!(error.to_string(), format!("cannot connect to http://{address}"));
    }
}

#[tokio::test]
async fn a_connection_that_is_not_made_in_time_is_another_error_than_a_late_response() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let listener = socket.listen(1).expect("a listener");
    let address = listener.local_addr().expect("a bound port");
    // Linux accepts one more than asked for, then drops SYNs.
    let _first = TcpStream::connect(address).await.expect("room in the accept queue");
    let _second = TcpStream::connect(address).await.expect("room in the accept queue");
    let target = Target::parse(&format!("http://{address}")).expect("loopback");
    let within = Duration::from_millis(300);
    let mut connection = HttpConnection::new(&target).response_timeout(within);
    match connection.send(&Request::get("/")).await.expect_err("the accept queue is full") {
        RequestError::Connect { source, .. } => assert_eq!(source.kind(), io::ErrorKind::TimedOut),
        error => panic!("{error}"),
    }
}
