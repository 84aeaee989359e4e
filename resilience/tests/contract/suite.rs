//! The suite itself: each layer's own file runs it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use futures_util::FutureExt;
use tower::{BoxError, Service, ServiceExt};

use crate::policy::{Answered, Request};

/// A service that insists on the contract: it must be found ready before each call, by the very
/// clone that is called, and each time anew. It has so many places, which it gives out when ready.
#[derive(Debug)]
pub(crate) struct Strict {
    books: Arc<Books>,
    ready: bool,
}

/// What all clones know.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// Places taken: by services that are ready, and by calls.
    pub(crate) taken: AtomicUsize,
    pub(crate) places: AtomicUsize,
    pub(crate) called: AtomicUsize,
}

/// A place taken by a call.
struct Place(Arc<Books>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Strict {
    pub(crate) fn new(places: usize) -> (Self, Arc<Books>) {
        let books = Arc::new(Books::default());
        books.places.store(places, Ordering::SeqCst);
        (Self { books: Arc::clone(&books), ready: false }, books)
    }
}

impl Books {
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    pub(crate) fn called(&self) -> usize {
        self.called.load(Ordering::SeqCst)
    }
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { books: Arc::clone(&self.books), ready: false }
    }
}

impl Drop for Strict {
    fn drop(&mut self) {
        if self.ready {
            self.books.taken.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Service<Request> for Strict {
    type Response = &'static str;
    type Error = BoxError;
    type Future = std::pin::Pin<Box<dyn Future<Output = Answered> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if !self.ready {
            if self.books.taken() >= self.books.places.load(Ordering::SeqCst) {
                return Poll::Pending;
            }
            self.books.taken.fetch_add(1, Ordering::SeqCst);
            self.ready = true;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        assert!(self.ready, "called without having been found ready");
        self.ready = false;
        self.books.called.fetch_add(1, Ordering::SeqCst);
        let place = Place(Arc::clone(&self.books));
        Box::pin(async move {
            let _place = place;
            match request.what {
                "fail" => Err("as asked".into()),
                "hang" => std::future::pending().await,
                what => Ok(what),
            }
        })
    }
}

/// All that is expected of `layered`, which a layer made of a [`Strict`]; `held` says how much the
/// layer's own core holds.
pub(crate) async fn keeps_the_contract<S, L>(layer: L, held: impl Fn() -> usize)
where
    L: Fn(Strict) -> S,
    S: Service<Request, Response = &'static str, Error = BoxError> + Clone,
{
    readiness_is_passed_on_and_used_once(&layer);
    readiness_is_reserved_by_one_clone_only(&layer);
    answers_and_errors_pass(&layer).await;
    a_dropped_future_frees_everything(&layer, &held).await;
    a_dropped_service_frees_everything(&layer, &held).await;
    assert_eq!(held(), 0);
}

fn ready<S: Service<Request>>(service: &mut S) -> bool {
    service.poll_ready(&mut Context::from_waker(Waker::noop())).is_ready()
}

fn readiness_is_passed_on_and_used_once<S: Service<Request>>(layer: impl Fn(Strict) -> S) {
    let (strict, books) = Strict::new(1);
    let mut service = layer(strict);
    assert!(ready(&mut service) && ready(&mut service), "found ready, it stays ready");
    assert_eq!(books.taken(), 1, "being found ready twice takes one place");
    let call = service.call(Request::new("hang"));
    assert!(!ready(&mut service), "the call has used the readiness up");
    drop(call);
    assert!(ready(&mut service), "what was dropped gave it back");
}

fn readiness_is_reserved_by_one_clone_only<S: Service<Request> + Clone>(
    layer: impl Fn(Strict) -> S,
) {
    let (strict, books) = Strict::new(2);
    let mut one = layer(strict);
    assert!(ready(&mut one));
    let mut two = one.clone();
    assert_eq!(books.taken(), 1, "a clone is not ready because the other one is");
    assert!(ready(&mut two));
    drop((one, two));
    assert_eq!(books.taken(), 0);
}

async fn answers_and_errors_pass<S>(layer: impl Fn(Strict) -> S)
where
    S: Service<Request, Response = &'static str, Error = BoxError> + Clone,
{
    let (strict, _) = Strict::new(1);
    let mut service = layer(strict);
    for _ in 0..3 {
        let answer = service.ready().await.unwrap().call(Request::new("get")).await;
        assert_eq!(answer.unwrap(), "get");
        let answer = service.ready().await.unwrap().call(Request::new("fail")).await;
        assert_eq!(answer.unwrap_err().to_string(), "as asked");
    }
}

async fn a_dropped_future_frees_everything<S>(layer: impl Fn(Strict) -> S, held: impl Fn() -> usize)
where
    S: Service<Request, Response = &'static str, Error = BoxError> + Clone,
{
    let (strict, books) = Strict::new(3);
    let mut service = layer(strict);
    let never_polled = service.ready().await.unwrap().call(Request::new("hang"));
    let mut polled = Box::pin(service.ready().await.unwrap().call(Request::new("hang")));
    assert!(polled.as_mut().now_or_never().is_none());
    drop((never_polled, polled));
    assert_eq!((books.taken(), held()), (0, 0));
}

async fn a_dropped_service_frees_everything<S>(
    layer: impl Fn(Strict) -> S,
    held: impl Fn() -> usize,
) where
    S: Service<Request, Response = &'static str, Error = BoxError> + Clone,
{
    let (strict, books) = Strict::new(3);
    let mut service = layer(strict);
    let call = service.ready().await.unwrap().call(Request::new("get"));
    assert!(ready(&mut service));
    drop(service);
    assert_eq!(call.await.unwrap(), "get", "a call goes on without its service");
    assert_eq!((books.taken(), held(), Arc::strong_count(&books)), (0, 0, 1));
}
