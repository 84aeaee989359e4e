//! Pages of a list: keyset cursors in the links, and `page=N` near the beginning.
//!
//! `?cursor=after-120&size=20` begins behind the item of key 120, and costs the same anywhere in a list of
//! any length. `?page=3` is honoured while at most [`PAGE_DEPTH_MAX`] items come before that page; beyond,
//! the database would have to skip them one by one, so it is refused and points to the cursors.
//!
//! `?sort=id,desc` reverses the list. A cursor still names keys: the page after `before-120` goes down from 119.
//!
//! A page that would be larger than a caller reads ([`RESPONSE_MAX`](crate::json::RESPONSE_MAX)) has fewer items
//! than requested, and a link to the others. Large pages ([`LARGE_PAGE`]) are made one after the other.

use std::{
    fmt::{self, Display},
    str::FromStr,
    time::Duration,
};

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, Uri, request::Parts},
};
use platform_store::{PageRange, PageStart};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, SemaphorePermit};
use utoipa::{IntoParams, ToSchema};

use crate::{json::Query, problem::Problem};

/// Items on a page unless the request says otherwise.
pub const PAGE_SIZE: u32 = 20;

/// Items on a page at most; a larger `size` means this.
pub const PAGE_SIZE_MAX: u32 = 1_000;

/// Items before a page that is requested by its number, at most.
pub const PAGE_DEPTH_MAX: u64 = 10_000;

/// A page of more items than this is large.
pub const LARGE_PAGE: u32 = 100;

/// Large pages that a process reads and writes at once; others wait for their turn. One takes the time of dozens of
/// bookings: who requests them without end must not take the time of those who book.
const LARGE_PAGES_MAX: usize = 1;

/// Requests for large pages that wait for their turn; one more is refused.
const LARGE_PAGES_WAITING_MAX: usize = 16;

/// When to retry after that.
const LARGE_PAGE_RETRY_AFTER: Duration = Duration::from_secs(1);

static LARGE_PAGES: Semaphore = Semaphore::const_new(LARGE_PAGES_MAX);

static LARGE_PAGES_WAITING: Semaphore = Semaphore::const_new(LARGE_PAGES_WAITING_MAX);

/// What every list can be sorted by: its key, the one order that its index has.
const SORTABLE: &str = "id";

/// Digits of a key in a cursor at most: as many as the largest key has.
const KEY_DIGITS_MAX: usize = 19;

/// The page that a request asks for. The turn of a large page ends when this is dropped.
#[derive(Debug)]
pub struct PageRequest {
    /// Where it begins, and its size, 1 to [`PAGE_SIZE_MAX`].
    pub range: PageRange,
    /// Its number, counted from 0, where it was requested by number.
    pub number: Option<u64>,
    /// Whether the items are in descending order; [`PageRequest::range`] is of the ascending one.
    pub(crate) is_descending: bool,
    /// The path of the list, with the parameters of its query that do not choose a page.
    list: String,
    _turn: Option<SemaphorePermit<'static>>,
}

/// The query of a request for a page.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// Where the page begins, as `next` and `prev` of another page say
    #[param(example = "after-20", nullable = false, pattern = "^(after|before)-[0-9]{1,19}$")]
    cursor: Option<String>,
    /// Which page, counted from 0; only near the beginning of a list (at most 10000 items before it), and not
    /// together with a cursor
    #[param(value_type = Option<i64>, minimum = 0, maximum = 4_294_967_295_i64, nullable = false)]
    page: Option<String>,
    /// Items on a page, 20 unless given; more than 1000 means 1000
    #[param(value_type = Option<i64>, example = 20, minimum = 1, maximum = 4_294_967_295_i64, nullable = false)]
    size: Option<String>,
    /// The order of the list: by its numbers, up unless `desc` is given
    #[param(
        example = "id,desc",
        nullable = false,
        pattern = "^id(,([aA][sS][cC]|[dD][eE][sS][cC]))?$"
    )]
    sort: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for PageRequest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let sorts = query_pairs(&parts.uri).filter(|(name, _)| name == "sort");
        if sorts.count() > 1 {
            return Err(not_sortable("it may be given once"));
        }
        let Query::<PageParams>(query) = Query::from_request_parts(parts, state).await?;
        let size = match query.size.map(|text| text.parse::<u32>()) {
            None => PAGE_SIZE,
            Some(Ok(size)) if size > 0 => size.min(PAGE_SIZE_MAX),
            Some(_) => return Err(Problem::invalid("size", "must be a whole number from 1")),
        };
        let is_descending = query.sort.as_deref().map(is_descending).transpose()?.unwrap_or(false);
        let (start, number) = match (query.cursor, query.page) {
            (Some(_), Some(_)) => {
                return Err(
                    Problem::malformed("a page cannot be given with a cursor").field("page")
                );
            }
            (Some(cursor), None) => (cursor.parse::<Cursor>()?.0, None),
            (None, page) => {
                let number = number(page.as_deref())?;
                let offset = offset(number, size)?;
                let start =
                    if is_descending { PageStart::OffsetFromEnd } else { PageStart::Offset };
                (start(offset), Some(number))
            }
        };
        let range = PageRange { start, size };
        let turn = if size > LARGE_PAGE { Some(turn_of_large_page().await?) } else { None };
        Ok(Self { range, number, is_descending, list: list(&parts.uri), _turn: turn })
    }
}

async fn turn_of_large_page() -> Result<SemaphorePermit<'static>, Problem> {
    let refused = || {
        Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "urn:anticorona:too-many-large-pages",
            "Too many large pages are waiting",
        )
        .retry_after(LARGE_PAGE_RETRY_AFTER)
        .detail(format!("retry later, or request at most {LARGE_PAGE} items"))
    };
    let _waiting = LARGE_PAGES_WAITING.try_acquire().map_err(|_| refused())?;
    LARGE_PAGES.acquire().await.map_err(|_| refused())
}

/// Parses a `sort` as Spring Data has it: a field, and perhaps a direction.
fn is_descending(sort: &str) -> Result<bool, Problem> {
    let (field, direction) = sort.split_once(',').unwrap_or((sort, "asc"));
    if field != SORTABLE {
        return Err(not_sortable(format!("there is no index by `{field}`")));
    }
    match direction.to_ascii_lowercase().as_str() {
        "asc" => Ok(false),
        "desc" => Ok(true),
        _ => Err(not_sortable(format!("the direction is asc or desc, not `{direction}`"))),
    }
}

fn number(page: Option<&str>) -> Result<u64, Problem> {
    let number = page.unwrap_or("0").parse::<u32>();
    let wrong = |_| Problem::invalid("page", "must be a whole number, counted from 0");
    number.map(u64::from).map_err(wrong)
}

fn offset(number: u64, size: u32) -> Result<u64, Problem> {
    let offset = number.saturating_mul(u64::from(size));
    if offset > PAGE_DEPTH_MAX { Err(too_deep()) } else { Ok(offset) }
}

fn query_pairs(uri: &Uri) -> form_urlencoded::Parse<'_> {
    form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
}

fn list(uri: &Uri) -> String {
    let kept = query_pairs(uri).filter(|(name, _)| !["cursor", "page", "size"].contains(&&**name));
    let kept = form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).finish();
    if kept.is_empty() { uri.path().to_owned() } else { format!("{}?{kept}", uri.path()) }
}

impl PageRequest {
    /// The URL of a page of the same list and size, at this origin; `page` is its parameter, if it has
    /// one.
    pub(crate) fn url(&self, origin: &str, page: Option<&str>) -> String {
        let join = if self.list.contains('?') { '&' } else { '?' };
        let page = page.map(|page| format!("{page}&")).unwrap_or_default();
        format!("{origin}{}{join}{page}size={}", self.list, self.range.size)
    }
}

fn too_deep() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "urn:anticorona:page-too-deep",
        "The page is too far from the beginning of the list",
    )
    .field("page")
    .detail(format!(
        "at most {PAGE_DEPTH_MAX} items may come before a page that is requested by number; follow the \
         `next` links, which carry a cursor"
    ))
}

fn not_sortable(reason: impl Display) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "urn:anticorona:not-sortable",
        "The list cannot be sorted like this",
    )
    .field("sort")
    .detail(format!("{reason}; sortable fields: {SORTABLE}"))
}

/// A place in a list as text: `after-120`, `before-121`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor(pub(crate) PageStart);

impl FromStr for Cursor {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        // A number beyond the largest key is behind every item as well.
        let key = |text: &str| {
            let is_key = (1..=KEY_DIGITS_MAX).contains(&text.len());
            let is_key = is_key && text.bytes().all(|byte| byte.is_ascii_digit());
            is_key.then(|| text.parse().unwrap_or(i64::MAX))
        };
        let after = text.strip_prefix("after-").and_then(key).map(PageStart::After);
        let before = || text.strip_prefix("before-").and_then(key).map(PageStart::Before);
        let wrong = || Problem::invalid("cursor", "must be the cursor of a `next` or `prev` link");
        after.or_else(before).map(Self).ok_or_else(wrong)
    }
}

impl Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            PageStart::Offset(_) | PageStart::OffsetFromEnd(_) => Ok(()),
            PageStart::After(key) => write!(f, "after-{key}"),
            PageStart::Before(key) => write!(f, "before-{key}"),
        }
    }
}

/// The size of a page, and where they are known its number and how many items and pages there are.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PageInfo {
    /// Items on a full page.
    #[schema(example = 20)]
    pub(crate) size: u32,
    /// Items in all; omitted where counting them would read the whole list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 1, nullable = false)]
    pub(crate) total_elements: Option<u64>,
    /// Pages in all; omitted with `totalElements`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 1, nullable = false)]
    pub(crate) total_pages: Option<u64>,
    /// Counted from 0; omitted for a page that was requested by cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 0, nullable = false)]
    pub(crate) number: Option<u64>,
}

impl PageInfo {
    pub(crate) fn new(page: &PageRequest, total: Option<u64>) -> Self {
        Self {
            size: page.range.size,
            total_elements: total,
            total_pages: total.map(|total| total.div_ceil(u64::from(page.range.size))),
            number: page.number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn requested(query: &str) -> Result<PageRequest, Problem> {
        let request = axum::http::Request::builder().uri(format!("/bookings?{query}"));
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        PageRequest::from_request_parts(&mut parts, &()).await
    }

    #[tokio::test]
    async fn a_page_begins_at_its_number_or_at_a_cursor() {
        let first = requested("").await.unwrap();
        assert_eq!(first.range, PageRange { start: PageStart::Offset(0), size: PAGE_SIZE });
        assert_eq!(first.number, Some(0));
        let third = requested("page=2&size=50").await.unwrap();
        assert_eq!((third.range.start, third.range.size), (PageStart::Offset(100), 50));
        let next = requested("cursor=after-120&size=5000").await.unwrap();
        assert_eq!((next.range.start, next.range.size), (PageStart::After(120), PAGE_SIZE_MAX));
        assert_eq!(next.number, None);
        let back = requested("cursor=before-7").await.unwrap();
        assert_eq!(back.range.start, PageStart::Before(7));
    }

    #[tokio::test]
    async fn a_page_number_is_honoured_up_to_the_named_depth_and_refused_beyond() {
        assert!(requested("page=500&size=20").await.is_ok());
        assert_eq!(requested("page=501&size=20").await.unwrap_err(), too_deep());
        assert_eq!(requested("page=4294967295&size=1000").await.unwrap_err(), too_deep());
    }

    #[tokio::test]
    async fn a_wrong_query_is_refused_by_the_name_of_its_field() {
        for wrong in ["cursor=7", "cursor=after-x", "cursor=after-1&page=1", "page=-1", "size=0"] {
            assert!(requested(wrong).await.is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn the_url_of_another_page_keeps_the_rest_of_the_query() {
        let page = requested("page=1&userId=5&size=7&a=%26").await.unwrap();
        let next = page.url("http://h", Some("cursor=after-9"));
        assert_eq!(next, "http://h/bookings?userId=5&a=%26&cursor=after-9&size=7");
        assert_eq!(requested("").await.unwrap().url("", None), "/bookings?size=20");
    }

    #[test]
    fn a_cursor_is_parsed_as_it_is_shown() {
        for start in [PageStart::After(i64::MAX), PageStart::Before(1)] {
            assert_eq!(Cursor(start).to_string().parse(), Ok(Cursor(start)));
        }
        let beyond = "after-9999999999999999999".parse();
        assert_eq!(beyond, Ok(Cursor(PageStart::After(i64::MAX))));
        for wrong in ["after--1", "after-+1", "after-", "after-10000000000000000000"] {
            assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
        }
    }
}
