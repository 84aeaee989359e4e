//! The head of a request, before anything acts on it: one host, one spelling of the path, and a body that is
//! sent as this server reads it.
//!
//! What two servers in a row read differently lets one of them be deceived, so that it is refused and not
//! repaired.

use axum::http::{HeaderValue, Method, Request, StatusCode, Version, header};

use crate::{hal::is_host, problem::Problem};

/// What is a dot, a slash, a backslash or a percent sign only to those who decode it.
const ENCODED: [&str; 4] = ["%2e", "%2f", "%5c", "%25"];

/// Refuses a head that can be read in several ways. The host of an absolute URL replaces `Host` (RFC 9112,
/// section 3.2.2).
pub(crate) fn normalize<B>(request: &mut Request<B>) -> Result<(), Problem> {
    if request.method() == Method::CONNECT {
        return Err(Problem::malformed("CONNECT is for proxies; this is none"));
    }
    check_path(request.uri().path())?;
    check_host(request)?;
    check_transfer_coding(request)?;
    let authority = request.uri().authority().map(|it| HeaderValue::from_str(it.as_str()));
    if let Some(Ok(host)) = authority {
        request.headers_mut().insert(header::HOST, host);
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), Problem> {
    let lower = path.to_ascii_lowercase();
    let is_encoded = ENCODED.iter().any(|encoded| lower.contains(encoded));
    let has_dots = path.split('/').any(|segment| matches!(segment, "." | ".."));
    if is_encoded || has_dots || path.contains('\\') {
        return Err(Problem::malformed(
            "a path has no dot segments, no backslash, and no encoded dot, slash or percent sign",
        ));
    }
    Ok(())
}

/// RFC 9112, section 3.2: exactly one valid `Host`, which may be empty. HTTP/1.0 has none.
fn check_host<B>(request: &Request<B>) -> Result<(), Problem> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let problem = match (hosts.next(), hosts.next()) {
        (None, _) if request.version() < Version::HTTP_11 => return Ok(()),
        (None, _) => "Host is missing",
        (Some(_), Some(_)) => "Host is sent more than once",
        (Some(host), None) if host.is_empty() || host.to_str().is_ok_and(is_host) => return Ok(()),
        (Some(_), None) => "Host must be a name or an address, perhaps with a port",
    };
    Err(Problem::malformed(problem).field("Host"))
}

/// RFC 9112, section 6.1: other codings than `chunked` would have to be decoded.
fn check_transfer_coding<B>(request: &Request<B>) -> Result<(), Problem> {
    let mut codings = request.headers().get_all(header::TRANSFER_ENCODING).iter();
    if codings.all(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::NOT_IMPLEMENTED,
        "urn:anticorona:transfer-coding",
        "This transfer coding is not supported",
    )
    .field("Transfer-Encoding")
    .detail("send the body as it is, chunked or with a Content-Length"))
}

#[cfg(test)]
mod tests {
    use axum::http::request::Builder;

    use super::*;

    fn is_refused(request: Builder) -> bool {
        normalize(&mut request.body(()).unwrap()).is_err()
    }

    fn get(uri: &str) -> Builder {
        Request::get(uri).header("host", "a")
    }

    #[test]
    fn a_path_that_can_be_spelled_otherwise_is_refused() {
        for path in [
            "/a/..",
            "/a/../b",
            "/./a",
            "/a/.",
            "/..",
            "/a/%2e%2E",
            "/a/%2e",
            "/a%2fb",
            "/a%2Fb",
            "/a%5Cb",
            "/a/%252e",
            "/a%2e",
        ] {
            assert!(is_refused(get(path)), "{path}");
        }
        for path in ["/", "/a.b", "/a/...", "/a?b=%2F..", "/swagger-ui/a.js", "/%EA%B0%80"] {
            assert!(!is_refused(get(path)), "{path}");
        }
    }

    #[test]
    fn a_request_has_one_host() {
        assert!(is_refused(Request::get("/")));
        assert!(is_refused(get("/").header("host", "a")));
        for wrong in ["a/b", "user@a", "a b", "a, b"] {
            assert!(is_refused(Request::get("/").header("host", wrong)), "{wrong}");
        }
        for right in ["", "a", "a:1", "[::1]:80"] {
            assert!(!is_refused(Request::get("/").header("host", right)), "{right}");
        }
        assert!(!is_refused(Request::get("/").version(Version::HTTP_10)));
        assert!(is_refused(get("/").version(Version::HTTP_10).header("host", "b")));
    }

    #[test]
    fn the_host_of_an_absolute_url_is_the_host() {
        let mut request = get("http://b:1/x").body(()).unwrap();
        normalize(&mut request).unwrap();
        assert_eq!(request.headers()["host"], "b:1");
    }

    #[test]
    fn only_chunked_is_decoded() {
        assert!(!is_refused(get("/").header("transfer-encoding", "Chunked")));
        for coding in ["gzip, chunked", "gzip", "chunked, chunked", "identity"] {
            assert!(is_refused(get("/").header("transfer-encoding", coding)), "{coding}");
        }
    }

    #[test]
    fn connect_is_refused_in_every_form() {
        for uri in ["a:80", "/bookings"] {
            assert!(is_refused(get(uri).method("CONNECT")), "{uri}");
        }
    }
}
