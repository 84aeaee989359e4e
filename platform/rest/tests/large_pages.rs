//! Large pages are made one after the other. Alone in its process: the turn is that of the process.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use axum::{
    extract::{FromRequestParts, Request},
    http::StatusCode,
    response::IntoResponse,
};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use platform_rest::pagination::PageRequest;

async fn requested(size: u32) -> Result<PageRequest, StatusCode> {
    let (mut parts, ()) = Request::get(format!("/?size={size}")).body(()).unwrap().into_parts();
    let page = PageRequest::from_request_parts(&mut parts, &()).await;
    page.map_err(|problem| problem.into_response().status())
}

#[tokio::test]
async fn a_large_page_waits_for_the_one_before_and_sixteen_wait_at_most() {
    let first = requested(101).await.unwrap();
    let mut waiting: FuturesUnordered<_> = (0..17).map(|_| requested(1_000)).collect();
    let refused = waiting.next().now_or_never().flatten().expect("one is refused at once");
    assert_eq!(refused.unwrap_err(), StatusCode::TOO_MANY_REQUESTS);
    assert!(requested(100).await.is_ok());
    drop(first);
    while let Some(page) = waiting.next().await {
        assert!(page.is_ok(), "{page:?}");
    }
}
