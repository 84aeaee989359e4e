//! A 503 as a page for browsers, in Korean and English, without a script. After a GET the browser
//! reloads it by itself.

use axum::{
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{Html, IntoResponse, Response},
};

/// Seconds until the next request if the response has no `Retry-After`.
const RETRY_AFTER_S: u64 = 2;

/// Whether the client is a browser that shows a page: it accepts HTML, and no JSON.
pub(crate) fn is_accepted(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html") && !accept.contains("json"))
}

/// The page for a 503, with the same `Retry-After`.
pub(crate) fn render(unavailable: &Response, method: &Method) -> Response {
    let after = unavailable.headers().get(header::RETRY_AFTER);
    let seconds =
        after.and_then(|seconds| seconds.to_str().ok()?.parse().ok()).unwrap_or(RETRY_AFTER_S);
    // The person repeats what changes something; the browser must not.
    let reloads = *method == Method::GET;
    let texts = if reloads { &RELOADS } else { &SEND_AGAIN };
    let headers = [
        (header::RETRY_AFTER, HeaderValue::from(seconds)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let refresh = reloads.then_some([(header::REFRESH, HeaderValue::from(seconds))]);
    let page = Html(html(texts, seconds));
    (StatusCode::SERVICE_UNAVAILABLE, headers, refresh, page).into_response()
}

/// The sentences before and after the number of seconds.
struct Texts {
    korean: [&'static str; 2],
    english: [&'static str; 2],
}

const RELOADS: Texts = Texts {
    korean: ["이 화면을 그대로 두세요. 약", "초 후에 자동으로 다시 연결합니다."],
    english: ["Keep this page open. It reloads automatically in about", "seconds."],
};

const SEND_AGAIN: Texts = Texts {
    korean: ["요청이 접수되지 않았을 수 있습니다. 약", "초 후에 뒤로 가서 다시 보내 주세요."],
    english: [
        "Your request may not have been received. Go back and send it again in about",
        "seconds.",
    ],
};

fn html(texts: &Texts, seconds: u64) -> String {
    let [korean, korean_end] = texts.korean;
    let [english, english_end] = texts.english;
    format!(
        "<!doctype html>\n<html lang=\"ko\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>잠시만 기다려 주세요 · One moment, please</title>\n\
         <style>body{{font:1.25rem/1.6 system-ui,sans-serif;max-width:34rem;margin:15vh auto;\
         padding:0 1rem;color:#1a1a1a;background:#fff}}\
         @media(prefers-color-scheme:dark){{body{{color:#eee;background:#111}}}}</style>\n\
         <main role=\"status\">\n<h1>잠시만 기다려 주세요</h1>\n\
         <p>지금 접속자가 많습니다. {korean} <strong>{seconds}</strong>{korean_end}</p>\n\
         <div lang=\"en\">\n<h2>One moment, please</h2>\n\
         <p>Very many people are using the service right now. {english} \
         <strong>{seconds}</strong> {english_end}</p>\n</div>\n</main>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::header::REFRESH;

    use super::*;
    use crate::problem::Problem;

    fn accepting(accept: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())])
    }

    fn unavailable() -> Response {
        Problem::retry_later(Duration::from_secs(7), "busy").into_response()
    }

    #[test]
    fn a_browser_gets_a_page_and_a_program_does_not() {
        assert!(is_accepted(&accepting("text/html,application/xhtml+xml,*/*;q=0.8")));
        for program in ["application/json", "*/*", "application/hal+json, text/html;q=0.1"] {
            assert!(!is_accepted(&accepting(program)), "{program}");
        }
        assert!(!is_accepted(&HeaderMap::new()));
    }

    #[test]
    fn the_page_of_a_get_reloads_after_the_retry_after_of_the_response() {
        let page = render(&unavailable(), &Method::GET);
        assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(page.headers()[REFRESH], "7");
        assert_eq!(page.headers()[header::RETRY_AFTER], "7");
    }

    #[test]
    fn the_page_of_a_request_that_changes_something_never_reloads() {
        let page = render(&unavailable(), &Method::POST);
        assert!(!page.headers().contains_key(REFRESH));
        assert_eq!(page.headers()[header::RETRY_AFTER], "7");
    }

    #[test]
    fn both_languages_name_the_seconds() {
        for texts in [&RELOADS, &SEND_AGAIN] {
            assert_eq!(html(texts, 7).matches("<strong>7</strong>").count(), 2);
        }
    }
}
